from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve
from torch import Tensor

from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.classification import NamesClasses, ShowsTestImages
from litzoo.callbacks.reporting.figures import Captioned, draw_image_rows, new_figure, publish_figure
from litzoo.callbacks.unknown._evidence import ServesKnown
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.metrics import auroc, open_set_scores
from litzoo.datamodules.batch import UNKNOWN


def draw_scores(scores: Mapping[str, Tensor], unknown: Tensor, decisive: str, threshold: float) -> Figure:
    """Draws how the scores of known and of unknown test samples are distributed, and the ROC curve of each score.

    Args:
        scores: Score -> its values `[N]`, higher = more unknown.
        unknown: Which samples are of an unknown class, bool `[N]`.
        decisive: The score whose distribution is drawn.
        threshold: Of that score; above it a sample is called unknown.
    """
    figure = new_figure(10, 4, arranged=False)
    spread, curves = (figure.add_axes((left, 0.12, 0.42, 0.8)) for left in (0.065, 0.565))
    values, new = scores[decisive].numpy(), unknown.numpy()
    shown = values[np.isfinite(values)]
    low, high = (shown.min(), shown.max()) if len(shown) else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # equal, or all but equal
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 51)
    for kind, rows, colour in (("known", ~new, "tab:blue"), ("unknown", new, "tab:orange")):
        counts = np.histogram(np.clip(values[rows], edges[0], edges[-1]), edges)[0]
        spread.stairs(counts / counts.sum(), edges, fill=True, alpha=0.6, color=colour, label=kind)
    if edges[0] <= threshold <= edges[-1]:
        spread.axvline(threshold, color="black", linestyle="--", label="threshold")
    spread.set(xlabel=f"{decisive}, higher = more unknown", ylabel="fraction of the known, of the unknown samples")
    spread.legend()
    for name, each in scores.items():
        false, true, _ = roc_curve(new, np.nan_to_num(each.numpy()))
        curves.plot(
            false, true, label=f"{name}, AUROC {auroc(each, unknown):.3f}", linewidth=2 if name == decisive else 1
        )
    rejected = values > threshold
    curves.plot(rejected[~new].mean(), rejected[new].mean(), "ko", label="at the threshold")
    curves.set(xlabel="known samples called unknown", ylabel="unknown samples found")
    curves.legend(loc="lower right", fontsize=8)
    figure.suptitle(f"{int(new.sum()):,} of {len(new):,} test samples are of unknown classes", fontsize=10)
    return figure


class TestedImages(NamedTuple):
    """Test samples that can be shown.

    Attributes:
        scores: Higher = more unknown, `[N]`.
        unknown: Which are of an unknown class, bool `[N]`.
        names: What they really are, N names.
        answers: What they would be taken for, N names of known classes.
        images: Returns the images of rows `[n]`, uint8 `[n, C, H, W]`.
    """

    scores: Tensor
    unknown: Tensor
    names: Sequence[str]
    answers: Sequence[str]
    images: Callable[[Tensor], Tensor]


def draw_gallery(tested: TestedImages, threshold: float, count: int) -> Figure:
    """Draws unknown samples that were found, those that were missed, and known ones that were refused.

    Args:
        tested: What there is.
        threshold: Above it a sample is called unknown.
        count: Images in a row: of the found ones the surest, of the others the most mistaken.
    """
    scores, unknown = tested.scores, tested.unknown
    rejected = scores > threshold
    kinds = {
        "unknown, found": (unknown & rejected, scores),
        "unknown, missed": (unknown & ~rejected, -scores),
        "known, refused": (~unknown & rejected, scores),
    }
    rows = []
    for among, order in kinds.values():
        chosen = _first(order, among, count)
        captions = [
            f"{tested.names[row]}\nlike {tested.answers[row]}\n{_short(scores[row])}" for row in chosen.tolist()
        ]
        rows.append(list(map(Captioned, tested.images(chosen), captions)))
    heading = f"true class, what it looks like to the model, score (unknown above {_short(threshold)})"
    names = [f"{name}\n{int(among.sum()):,}" for name, (among, _) in kinds.items()]
    return draw_image_rows(rows, heading, count, names)


def _short(score: Tensor | float) -> str:
    return f"{score:#.3g}".rstrip(".")


def _first(order: Tensor, among: Tensor, count: int) -> Tensor:
    """Returns the rows with the largest values among some, at most `count`."""
    rows = torch.nonzero(among)[:, 0]
    return rows[order[rows].argsort(descending=True, stable=True)[:count]]


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
    """Draws the scores, and where there are images a gallery with rows of `count`, on the first process.

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
    if isinstance(datamodule, ShowsTestImages):
        images = datamodule.test_images
        shown = TestedImages(
            tested.scores[detection.name],
            unknown,
            datamodule.true_class_names(tested.index),
            [module.class_names[label] for label in tested.prediction.tolist()],
            lambda rows: images(tested.index[rows]),
        )
        publish_figure(trainer, "unknown_gallery", draw_gallery(shown, detection.threshold, count), run_folder)
