from dataclasses import dataclass

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.classified_tests import NamesClasses
from callbacks.figures import publish_figure
from callbacks.files import run_folder_of
from callbacks.known_evidence import ServesKnown
from callbacks.open_set_scores import open_set_scores
from callbacks.prediction_grid import ShowsTestPictures
from callbacks.unknown_detection import UnknownDetection
from callbacks.unknown_figures import draw_scores
from callbacks.unknown_gallery import TestedPictures, draw_gallery
from callbacks.unknown_metrics import auroc
from datamodules.batch import UNKNOWN


@dataclass(frozen=True)
class TestedSamples:
    """What a test has found of every sample, once and in order.

    Attributes:
        scores: Score -> its values `[N]`, higher = more unknown; the one that decides comes first.
        prediction: Likeliest known classes, int64 `[N]`.
        target: Known classes, or `UNKNOWN`, int64 `[N]`.
        index: Positions in the test set, int64 `[N]`.
    """

    scores: dict[str, Tensor]
    prediction: Tensor
    target: Tensor
    index: Tensor


def log_open_set_metrics(
    trainer: Trainer, module: LightningModule, detection: UnknownDetection, tested: TestedSamples
) -> None:
    """Logs `open_set_scores` of the score that decides, and where there are several the AUROC of each.

    Every process has to call it with the same.
    """
    datamodule, unknown = trainer.datamodule, tested.target == UNKNOWN  # type: ignore[attr-defined]
    assert isinstance(datamodule, ServesKnown)
    assert isinstance(module, NamesClasses)
    found = open_set_scores(
        tested.scores[detection.name],
        tested.prediction,
        tested.target,
        detection.threshold,
        module.class_names,
        datamodule.true_class_names(tested.index[unknown]),
    )
    found["unknown/threshold"] = detection.threshold
    if len(tested.scores) > 1:
        found |= {f"unknown/auroc/{name}": auroc(values, unknown) for name, values in tested.scores.items()}
    for name, value in found.items():
        module.log(f"test/{name}", value, sync_dist=True)


def publish_open_set_figures(
    trainer: Trainer, module: LightningModule, detection: UnknownDetection, tested: TestedSamples, count: int
) -> None:
    """Draws the scores, and where there are pictures a gallery with rows of `count`, on the first process.

    Every process has to call it.
    """
    run_folder = run_folder_of(trainer)
    if not trainer.is_global_zero:
        return
    datamodule, unknown = trainer.datamodule, tested.target == UNKNOWN  # type: ignore[attr-defined]
    assert isinstance(datamodule, ServesKnown)
    assert isinstance(module, NamesClasses)
    figure = draw_scores(tested.scores, unknown, detection.name, detection.threshold)
    publish_figure(trainer, "unknown_scores", figure, run_folder)
    if isinstance(datamodule, ShowsTestPictures):
        pictures = datamodule.test_pictures
        shown = TestedPictures(
            tested.scores[detection.name],
            unknown,
            datamodule.true_class_names(tested.index),
            [module.class_names[label] for label in tested.prediction.tolist()],
            lambda rows: pictures(tested.index[rows]),
        )
        publish_figure(trainer, "unknown_gallery", draw_gallery(shown, detection.threshold, count), run_folder)
