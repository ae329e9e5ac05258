"""Figures of a test with unknown classes: score histograms, ROC curves, and a gallery of samples."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from sklearn.metrics import auc as area_under
from sklearn.metrics import roc_curve
from torch import Tensor

from litzoo.callbacks.reporting.figures import CaptionedImage, draw_image_rows, new_figure

_PANEL_HEIGHT, _TITLE_HEIGHT, _LABEL_HEIGHT, _LEGEND_LINE = 2.58, 0.35, 0.48, 0.18
_WITHOUT_LEGEND = 3.46
"""Heights in inches: of a panel, of the title above, of ticks and label below, of a line of the legend, and of all."""
LOG_FROM = 0.99
"""AUROC from which on ROC curves are drawn on a logarithmic axis, since they are all in one corner otherwise."""
LOOKS = cycler(linestyle=["-", "--"]) * cycler(color=list(TABLEAU_COLORS))
"""Of curves: dashed when the colours run out."""
MOST_POINTS, CELLS = 1000, 500
"""Points of a curve above which only those are drawn that differ on a grid of so many cells in each direction."""


def draw_scores(scores: Mapping[str, Tensor], unknown: Tensor, decision_score: str, threshold: float) -> Figure:
    """Draws histograms of the scores of known and unknown test samples, and ROC and precision-recall curves.

    Args:
        scores: Name of a score -> values `[N]`, higher = more unknown.
        unknown: Which samples are of an unknown class, bool `[N]`.
        decision_score: The score for the histograms and the threshold.
        threshold: A sample with a higher score is classified as unknown.
    """
    panels = 3 if unknown.any() else 1
    width = 4.8 if panels > 1 else 10
    lines = len(scores) + 1 if panels > 1 else 1  # of the largest legend, below its panel
    height = _WITHOUT_LEGEND + _LEGEND_LINE * lines
    figure = new_figure(width * panels, height, constrained=False)
    margin, inner = 0.65 / panels / width, _PANEL_HEIGHT / height
    bottom = 1 - _TITLE_HEIGHT / height - inner
    places = [(panel / panels + margin, bottom, 0.965 / panels - margin, inner) for panel in range(panels)]
    axes = list(map(figure.add_axes, places))
    values, is_unknown = scores[decision_score].numpy(), unknown.numpy()
    _draw_histogram(axes[0], values, is_unknown, decision_score, threshold)
    figure.suptitle(
        f"{int(is_unknown.sum()):,} of {len(is_unknown):,} test samples are of unknown classes",
        x=0.5 / panels,  # above the first panel, which is on top on a card of TensorBoard
        fontsize=10,
    )
    if panels > 1:
        _draw_curves(axes[1], axes[2], scores, is_unknown, decision_score, values > threshold)
    return figure


def _draw_histogram(panel: Axes, values: np.ndarray, is_unknown: np.ndarray, name: str, threshold: float) -> None:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # equal up to rounding
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 51)
    for kind, rows, colour in (("known", ~is_unknown, "tab:blue"), ("unknown", is_unknown, "tab:orange")):
        if not rows.any():
            continue
        counts = np.histogram(np.clip(values[rows], edges[0], edges[-1]), edges)[0]
        panel.stairs(counts / counts.sum(), edges, fill=True, alpha=0.6, color=colour, label=kind)
    if edges[0] <= threshold <= edges[-1]:
        panel.axvline(threshold, color="black", linestyle="--", label="threshold")
    panel.set(xlabel=f"{name}, higher = more unknown", ylabel="fraction of known or unknown samples")
    _legend_below(panel, columns=3)


def _draw_curves(
    curves: Axes,
    precisions: Axes,
    scores: Mapping[str, Tensor],
    is_unknown: np.ndarray,
    decision_score: str,
    rejected: np.ndarray,
) -> None:
    """Draws the ROC and the precision-recall curve of each score, and the point at the threshold."""
    known_count, unknown_count = int((~is_unknown).sum()), int(is_unknown.sum())
    rates = {
        name: roc_curve(is_unknown, np.nan_to_num(each.numpy()), drop_intermediate=False)[:2]
        for name, each in scores.items()
    }
    areas = {name: area_under(*each) for name, each in rates.items()}
    good = max(areas.values()) >= LOG_FROM
    least = 0.5 / known_count if good else 0.0  # a logarithmic axis has no 0
    for panel in (curves, precisions):
        panel.set_prop_cycle(LOOKS)
    for name, (accepted, found) in rates.items():
        width = 2 if name == decision_score else 1
        shown = np.maximum(accepted, least)
        kept = _visible(np.log(shown) / -np.log(least) if good else shown, found)
        curves.plot(shown[kept], found[kept], label=f"{name}, AUROC {areas[name]:.3f}", linewidth=width)
        hits, rejects = unknown_count * found, unknown_count * found + known_count * accepted
        precision = np.divide(hits, rejects, out=np.ones_like(hits), where=rejects > 0)
        average = float((np.diff(found) * precision[1:]).sum())
        kept = _visible(precision, found)[::-1]
        label = f"{name}, average precision {average:.3f}"
        precisions.plot(found[kept], precision[kept], label=label, linewidth=width, drawstyle="steps-post")
    found_fraction = rejected[is_unknown].mean()
    curves.plot(max(least, rejected[~is_unknown].mean()), found_fraction, "ko", label="at the threshold")
    curves.set(xlabel="fraction of known samples rejected", ylabel="fraction of unknown samples found")
    _legend_below(curves)
    if good:
        curves.set(xscale="log", xlim=(least, 1))
    if rejected.any():
        precisions.plot(found_fraction, is_unknown[rejected].mean(), "ko", label="at the threshold")
    precisions.set(
        xlabel="recall: fraction of unknown samples found",
        ylabel="precision: unknown among rejected",
        ylim=(-0.05, 1.05),
    )
    _legend_below(precisions)


def _legend_below(panel: Axes, columns: int = 1) -> None:
    """Adds a legend under the label of the x axis, where it covers no curve."""
    place = (0.5, -_LABEL_HEIGHT / _PANEL_HEIGHT)
    panel.legend(loc="upper center", bbox_to_anchor=place, fontsize=8, ncols=columns, frameon=False, borderpad=0)


def _visible(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the positions of the points of a curve that differ from their neighbours by a pixel, or all of few."""
    if len(x) <= MOST_POINTS:
        return np.arange(len(x))
    cells = np.stack([x, y]) * CELLS // 1
    moves = (cells[:, 1:] != cells[:, :-1]).any(axis=0)
    return np.flatnonzero(np.append(True, moves) | np.append(moves, True))


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
