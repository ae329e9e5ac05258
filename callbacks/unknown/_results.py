"""Metrics of a test with unknown classes, and the publication of its figures."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.contracts import HasClassNames, HasTestImages
from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.plain_modules import parts_of
from litzoo.callbacks.reporting.figures import CARD_COLUMNS, publish_figure
from litzoo.callbacks.unknown._figures import GallerySamples, draw_gallery, draw_scores
from litzoo.callbacks.unknown.calibration import acceptance_remark
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.metrics import auroc, auroc_deviation, known_rates, open_set_scores
from litzoo.datamodules.batch import UNKNOWN


@dataclass(frozen=True)
class OpenSetResults:
    """Scores and predictions of all test samples, each once and in order.

    Attributes:
        scores: Name of a score -> values `[N]`, higher = more unknown; the decision score first.
        prediction: Most likely known classes, int64 `[N]`.
        target: Known classes, or `UNKNOWN`, int64 `[N]`.
        index: Positions in the test set, int64 `[N]`.
    """

    scores: dict[str, Tensor]
    prediction: Tensor
    target: Tensor
    index: Tensor


def log_open_set_metrics(
    trainer: Trainer, module: LightningModule, detection: UnknownDetection, results: OpenSetResults
) -> list[str]:
    """Logs `open_set_scores` of the decision score and, if there are several scores, the AUROC of each.

    Without unknown samples it logs `known_rates` and the threshold. Every process has to call it, with the same
    results.

    Returns:
        Remarks on the metrics, for the summary of the test.
    """
    datamodule, unknown = parts_of(trainer), results.target == UNKNOWN
    assert isinstance(module, HasClassNames)
    decided = results.scores[detection.score_name], results.prediction, results.target, detection.threshold
    if unknown.any():
        names = datamodule.true_class_names(results.index[unknown])
        metrics = open_set_scores(*decided, module.class_names, names)
        if len(results.scores) > 1:
            metrics |= {f"unknown/auroc/{name}": auroc(values, unknown) for name, values in results.scores.items()}
    else:
        metrics = known_rates(*decided)
    metrics["unknown/threshold"] = detection.threshold
    for name, value in metrics.items():
        module.log(f"test/{name}", value, sync_dist=True)
    return _remarks(metrics, detection, int((~unknown).sum()), int(unknown.sum()))


def _remarks(metrics: Mapping[str, float], detection: UnknownDetection, known: int, unknown: int) -> list[str]:
    name, area = detection.score_name, metrics.get("unknown/auroc")
    remarks = []
    if detection.fixed_threshold is None and detection.known_scores is not None:
        accepted = round(known * metrics["known/accepted"])
        remarks = [acceptance_remark(len(detection.known_scores), detection.acceptance, accepted, known)]
    if area is None:
        return [
            *remarks,
            "No test sample is of an unknown class: how many unknown samples would be found is not known. Leave a "
            "class out of data.known_classes, or give other data as data.unknowns, to measure it.",
        ]
    # With few samples, a score without any information is often below 0.5.
    limit = 0.5 - 2 * auroc_deviation(known, unknown)
    if area < limit:
        remarks.append(
            f"{name} is worse than chance here: AUROC {area:.3f}, below 0.5. Choose another score, for example one of "
            "logits such as MaxLogit; `report` compares several (docs/unknown_classes.md)."
        )
    areas = {score: metrics.get(f"unknown/auroc/{score}", 1.0) for score in detection.scores if score != name}
    if worse := ", ".join(f"{score} (AUROC {each:.3f})" for score, each in areas.items() if each < limit):
        remarks.append(
            f"Of the reported scores, worse than chance here: {worse}. Do not decide by them on data like these; "
            "docs/unknown_classes.md says which score suits which data."
        )
    return remarks


def publish_open_set_figures(
    trainer: Trainer, module: LightningModule, detection: UnknownDetection, results: OpenSetResults, count: int
) -> None:
    """Saves the figure of the scores and, if the data are images, a gallery with rows of `count` images.

    Without unknown samples, it has known samples only.

    Every process has to call it; that of rank 0 draws.
    """
    run_folder = run_folder_of(trainer)
    if not trainer.is_global_zero:
        return
    datamodule, unknown = parts_of(trainer), results.target == UNKNOWN
    assert isinstance(module, HasClassNames)
    # Drawn once for file and TensorBoard: it is most of what the detector adds to a test.
    figure = draw_scores(results.scores, unknown, detection.score_name, detection.threshold)
    publish_figure(trainer, "unknown_scores", figure, run_folder, panels=len(figure.axes))
    if isinstance(datamodule, HasTestImages):
        names, images = parts_of(trainer).true_class_names(results.index), datamodule.test_images
        samples = GallerySamples(
            results.scores[detection.score_name],
            unknown,
            names,
            [module.class_names[label] for label in results.prediction.tolist()],
            lambda rows: images(results.index[rows]),
        )
        figure, card = (draw_gallery(samples, detection.threshold, each) for each in (count, min(count, CARD_COLUMNS)))
        publish_figure(trainer, "unknown_gallery", figure, run_folder, card)
