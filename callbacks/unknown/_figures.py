"""Metrics and figures of a test with unknown classes: score histograms, ROC curves, and a gallery of samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve
from torch import Tensor

from litzoo.callbacks.contracts import HasClassNames, HasTestImages
from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.plain_modules import parts_of
from litzoo.callbacks.reporting.figures import (
    CARD_COLUMNS,
    CARD_WIDTH,
    CaptionedImage,
    draw_image_rows,
    new_figure,
    publish_figure,
)
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.metrics import auroc, known_rates, open_set_scores
from litzoo.datamodules.batch import UNKNOWN

LOG_FROM = 0.99
"""AUROC from which on ROC curves are drawn on a logarithmic axis, since they are all in one corner otherwise."""


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
    return _remarks(metrics, detection)


def _remarks(metrics: Mapping[str, float], detection: UnknownDetection) -> list[str]:
    name, area = detection.score_name, metrics.get("unknown/auroc")
    if area is None:
        return [
            "No test sample is of an unknown class: how many unknown samples would be found is not known. Leave a "
            "class out of data.known_classes, or give other data as data.unknowns, to measure it."
        ]
    if area < 0.5:
        return [
            f"{name} is worse than chance here: AUROC {area:.3f}, below 0.5. Choose another score, for example one of "
            "logits such as MaxLogit; `report` compares several."
        ]
    return []


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
    drawn = results.scores, unknown, detection.score_name, detection.threshold
    publish_figure(trainer, "unknown_scores", draw_scores(*drawn), run_folder, draw_scores(*drawn, is_card=True))
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


def draw_scores(
    scores: Mapping[str, Tensor], unknown: Tensor, decision_score: str, threshold: float, is_card: bool = False
) -> Figure:
    """Draws histograms of the scores of known and unknown test samples, and ROC and precision-recall curves.

    Args:
        scores: Name of a score -> values `[N]`, higher = more unknown.
        unknown: Which samples are of an unknown class, bool `[N]`.
        decision_score: The score for the histograms and the threshold.
        threshold: A sample with a higher score is classified as unknown.
        is_card: Whether the panels are one below the other, for a card of TensorBoard.
    """
    panels = 3 if unknown.any() else 1
    width = 4.8 * panels if panels > 1 else 10
    wide, high = (CARD_WIDTH, 3.4 * panels) if is_card else (width, 4)
    figure = new_figure(wide, high, constrained=False)
    places = _panel_places(panels, is_card)
    histogram = figure.add_axes(places[0])
    values, is_unknown = scores[decision_score].numpy(), unknown.numpy()
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # equal up to rounding
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 51)
    for kind, rows, colour in (("known", ~is_unknown, "tab:blue"), ("unknown", is_unknown, "tab:orange")):
        if not rows.any():
            continue
        counts = np.histogram(np.clip(values[rows], edges[0], edges[-1]), edges)[0]
        histogram.stairs(counts / counts.sum(), edges, fill=True, alpha=0.6, color=colour, label=kind)
    if edges[0] <= threshold <= edges[-1]:
        histogram.axvline(threshold, color="black", linestyle="--", label="threshold")
    histogram.set(xlabel=f"{decision_score}, higher = more unknown", ylabel="fraction of known or unknown samples")
    histogram.legend()
    figure.suptitle(
        f"{int(is_unknown.sum()):,} of {len(is_unknown):,} test samples are of unknown classes", fontsize=10
    )
    if not is_unknown.any():
        return figure
    curves, precisions = map(figure.add_axes, places[1:])
    good = max(auroc(each, unknown) for each in scores.values()) >= LOG_FROM
    least = 0.5 / int((~is_unknown).sum()) if good else 0.0  # a logarithmic axis has no 0
    for name, each in scores.items():
        false_positives, true_positives, _ = roc_curve(is_unknown, np.nan_to_num(each.numpy()))
        width = 2 if name == decision_score else 1
        label = f"{name}, AUROC {auroc(each, unknown):.3f}"
        curves.plot(np.maximum(false_positives, least), true_positives, label=label, linewidth=width)
    rejected = values > threshold
    found = rejected[is_unknown].mean()
    curves.plot(max(least, rejected[~is_unknown].mean()), found, "ko", label="at the threshold")
    curves.set(xlabel="fraction of known samples rejected", ylabel="fraction of unknown samples found")
    curves.legend(loc="lower right", fontsize=8)
    if good:
        curves.set(xscale="log", xlim=(least, 1))
    for name, each in scores.items():
        values = np.nan_to_num(each.numpy())
        precision, recall, _ = precision_recall_curve(is_unknown, values)
        label = f"{name}, average precision {average_precision_score(is_unknown, values):.3f}"
        precisions.plot(
            recall, precision, label=label, linewidth=2 if name == decision_score else 1, drawstyle="steps-post"
        )
    if rejected.any():
        precisions.plot(found, is_unknown[rejected].mean(), "ko", label="at the threshold")
    precisions.set(
        xlabel="recall: fraction of unknown samples found",
        ylabel="precision: unknown among rejected",
        ylim=(-0.05, 1.05),
    )
    precisions.legend(loc="lower left", fontsize=8)
    for panel in figure.axes if is_card else ():
        panel.yaxis.label.set_fontsize(8)
    return figure


def _panel_places(panels: int, is_card: bool) -> list[tuple[float, float, float, float]]:
    """Returns left, bottom, width and height of each panel, side by side or from the top down."""
    if is_card:
        return [(0.14, 1 - (row + 0.86) / panels, 0.83, 0.72 / panels) for row in range(panels)]
    margin = 0.65 / panels / (4.8 if panels > 1 else 10)
    return [((column / panels) + margin, 0.12, 0.985 / panels - margin, 0.8) for column in range(panels)]


class GallerySamples(NamedTuple):
    """Test samples to draw in a gallery.

    Attributes:
        scores: Decision scores, higher = more unknown, `[N]`.
        unknown: Which are of an unknown class, bool `[N]`.
        true_names: Names of the true classes, N of them.
        predicted_names: Names of the most likely known classes, N of them.
        images: Returns the images of rows `[n]`, uint8 `[n, C, H, W]`.
    """

    scores: Tensor
    unknown: Tensor
    true_names: Sequence[str]
    predicted_names: Sequence[str]
    images: Callable[[Tensor], Tensor]


def draw_gallery(samples: GallerySamples, threshold: float, count: int) -> Figure:
    """Draws unknown samples that were found, unknown samples that were missed, and known samples that were rejected.

    Args:
        samples: The test samples.
        threshold: A sample with a higher score is classified as unknown.
        count: Images in a row. Found and rejected samples are drawn by descending score, missed ones by ascending.
    """
    scores, unknown = samples.scores, samples.unknown
    rejected = scores > threshold
    kinds = {
        "unknown, found": (unknown & rejected, scores),
        "unknown, missed": (unknown & ~rejected, -scores),
        "known, rejected": (~unknown & rejected, scores),
    }
    if not unknown.any():
        kinds = {"known, rejected": kinds["known, rejected"]}
    rows = []
    for selected, order in kinds.values():
        chosen = _top_rows(order, selected, count)
        captions = [
            f"{samples.true_names[row]}\nlike {samples.predicted_names[row]}\n{_short(scores[row])}"
            for row in chosen.tolist()
        ]
        rows.append(list(map(CaptionedImage, samples.images(chosen), captions)))
    heading = f"true class, most likely known class, score (unknown above {_short(threshold)})"
    names = [f"{name}\n{int(selected.sum()):,}" for name, (selected, _) in kinds.items()]
    return draw_image_rows(rows, heading, count, names)


def _top_rows(order: Tensor, selected: Tensor, count: int) -> Tensor:
    """Returns the selected rows with the largest values, at most `count`, in descending order."""
    rows = torch.nonzero(selected)[:, 0]
    return rows[order[rows].argsort(descending=True, stable=True)[:count]]


def _short(score: Tensor | float) -> str:
    return f"{score:#.3g}".rstrip(".")
