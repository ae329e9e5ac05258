"""Draws the training curves of a comparison."""

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import cycle, product
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from litzoo.callbacks.reporting.figures import new_figure

FIRST_FRACTION = 0.1
"""Fraction of the epochs, at the beginning, that the limits of the y axis may ignore."""
FEW_SAMPLES = 100
"""Number of validation samples below which the axes of their metrics say how many there are."""
QUARTERS = (0, 25, 50, 75, 100)
"""Ticks of an axis in percent of the training."""
MAX_LINES = 6
"""Number of variants up to which their curves are in one panel."""
PANELS_PER_ROW = 4
_LABEL_INCHES, _LABEL_HEIGHT = 0.085, 0.065
"""Width of a character of a curve's name, and height of a name as a fraction of the panel."""
Histories = Mapping[str, Mapping[int, Mapping[str, Mapping[int, float]]]]
"""Variant -> seed -> metric -> epoch (from 1) -> value."""


def choose_curves(requested: Sequence[str], metric: str, histories: Histories) -> list[str]:
    """Returns the metrics to draw: the requested ones, or else the validation metric closest to the compared one.

    Without validation it is the training metric closest to it.

    Nothing is requested and nothing was logged, as without a logger: an empty list.

    Raises:
        ValueError: If no run has logged a requested metric; the message lists the logged ones.
    """
    logged = [set(history) for seeds in histories.values() for history in seeds.values()]
    in_all, in_any = set.intersection(*logged), set.union(*logged)
    if requested:
        missing = [name for name in requested if name not in in_any]
        chosen = list(requested)
    else:
        # The training loss comes last: it is another one in each variant where losses are compared.
        names = [metric.split("/")[1], "acc", "rmse", "loss"]
        candidates = [f"{part}/{name}" for part in ("val", "train") for name in names]
        chosen = [name for name in candidates if name in in_all][:1]
        missing = []
    if missing:
        raise ValueError(f"--curve {missing[0]}: was not logged; there are {', '.join(sorted(in_any)) or 'none'}")
    return chosen


def draw_comparison(
    histories: Histories,
    metrics: Sequence[str],
    wrong_labels: Sequence[float] = (),
    unit: str = "seed",
    validation_sizes: Sequence[int] = (),
) -> Figure:
    """Draws the curves of all variants in one panel, or of more than six in a panel each, beside the first variant's.

    Args:
        histories: The metrics of all runs.
        metrics: The metrics to draw.
        wrong_labels: Fractions of wrong validation labels in the runs; the axes of `val/...` metrics say so.
        unit: What the runs of a variant differ in, `seed` or `fold`.
        validation_sizes: Numbers of validation samples of the runs; the axes say so where they are few.
    """
    figure = (draw_curves if len(histories) <= MAX_LINES else draw_small_multiples)(histories, metrics)
    figure.suptitle(figure.get_suptitle().replace("seed", unit), fontsize="medium")
    notes = []
    if validation_sizes and min(validation_sizes) < FEW_SAMPLES:
        notes.append(f"{_span(validation_sizes)} validation samples")
    if percent := [round(100 * fraction) for fraction in wrong_labels if round(100 * fraction) > 0]:
        notes.append(f"{_span(percent)} % of these labels are wrong")
    for panel in figure.axes:
        if notes and panel.get_ylabel().startswith("val/"):
            panel.set_ylabel("\n".join([panel.get_ylabel(), *(f"({note})" for note in notes)]))
    return figure


def _span(numbers: Sequence[int]) -> str:
    """Returns the smallest and largest number: `5 to 8`, or `5`."""
    return " to ".join(f"{each:,}" for each in dict.fromkeys((min(numbers), max(numbers))))


def draw_small_multiples(histories: Histories, metrics: Sequence[str]) -> Figure:
    """Draws a row of panels for each metric, one for each variant but the first, whose mean is in all of them.

    All panels of a metric have the same axes. As in `draw_curves`, x may be the percentage of the training.
    """
    first, *others = histories
    columns = min(len(others), PANELS_PER_ROW)
    rows = -(-len(others) // columns)
    figure = new_figure(2.3 * columns + 0.6, (1.9 * rows + 0.3) * len(metrics) + 0.5)
    grid = figure.subplots(rows * len(metrics), columns, squeeze=False)
    percentage = _percentage(histories)
    for number, metric in enumerate(metrics):
        panels = grid[number * rows : (number + 1) * rows].ravel()
        later: list[float] = []
        for position, (panel, variant) in enumerate(zip(panels, others, strict=False)):
            for name, colour, style in ((first, "tab:gray", "--"), (variant, "tab:blue", "-")):
                curves = [history[metric] for history in histories[name].values() if metric in history]
                if not curves:
                    continue
                epochs, means, lows, highs = band(curves)
                times = [100 * epoch / epochs[-1] for epoch in epochs] if percentage else epochs
                panel.plot(times, means, color=colour, linestyle=style, marker="." if len(epochs) == 1 else "")
                start = sum(epoch <= FIRST_FRACTION * epochs[-1] for epoch in epochs)
                later += lows[start:] + highs[start:]
                if len(curves) > 1 and name != first:
                    panel.fill_between(times, lows, highs, color=colour, alpha=0.25, linewidth=0)
            panel.set_title(variant, fontsize="small")
            _tick(panel, percentage, 4)
            panel.tick_params(labelsize="small")
            panel.grid(alpha=0.3)
            if position % columns == 0:
                panel.set_ylabel(metric, fontsize="small")
            if position + columns >= len(others):
                panel.set_xlabel(percentage.replace(" (", "\n(") or "epoch", fontsize="small")  # panels are narrow
        _share_limits(list(panels[: len(others)]), later)
        for panel in panels[len(others) :]:
            panel.axis("off")
    several = any(len(seeds) > 1 for seeds in histories.values())
    spread = "mean and range over the seeds" if several else "one seed"
    figure.suptitle(f"{spread}; solid: the variant, dashed: {first}", fontsize="medium")
    return figure


def _share_limits(panels: Sequence[Axes], later: Sequence[float]) -> None:
    """Gives all panels the same limits, those that `_limit_y_axis` would choose for all curves together."""
    lefts, rights = zip(*(panel.get_xlim() for panel in panels), strict=True)
    bottoms, tops = zip(*(panel.get_ylim() for panel in panels), strict=True)
    for panel in panels:
        panel.set(xlim=(min(lefts), max(rights)), ylim=(min(bottoms), max(tops)))
        _limit_y_axis(panel, later)


def draw_curves(histories: Histories, metrics: Sequence[str]) -> Figure:
    """Draws one panel for each metric, with each variant's mean over the seeds and a band from minimum to maximum.

    Up to six variants are named at the ends of their curves in the last panel; more, or those that it lacks, in a
    legend. Epochs that not all seeds of a variant have reached, and variants without the metric, are left out. If some
    variants are trained for more than twice as many epochs as others, the x axis is the percentage of the training. The
    y axis ignores a steep beginning that would leave less than half of the panel to the rest.
    """
    names = {variant: f"{variant} ({len(seeds)})" for variant, seeds in histories.items()}
    in_last = [
        variant for variant, seeds in histories.items() if any(metrics[-1] in history for history in seeds.values())
    ]
    is_direct = len(in_last) == len(histories) <= MAX_LINES
    room = _LABEL_INCHES * max(map(len, names.values())) if is_direct else 0
    figure = new_figure((7 if len(metrics) == 1 else 4.2 * len(metrics)) + room, 3.9 if is_direct else 4.4)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    percentage = _percentage(histories)
    styles = list(product(("-", "--", ":", "-."), TABLEAU_COLORS))  # another line style when the colours run out
    lines: dict[str, Line2D] = {}
    for panel, metric in zip(panels, metrics, strict=True):
        later: list[float] = []
        for (style, colour), (variant, seeds) in zip(cycle(styles), histories.items(), strict=False):
            curves = [history[metric] for history in seeds.values() if metric in history]
            if not curves:
                continue
            epochs, means, lows, highs = band(curves)
            times = [100 * epoch / epochs[-1] for epoch in epochs] if percentage else epochs
            (line,) = panel.plot(times, means, color=colour, linestyle=style, marker="." if len(epochs) < 40 else "")
            if metric == metrics[-1]:
                lines[names[variant]] = line
            lines.setdefault(names[variant], line)
            first = sum(epoch <= FIRST_FRACTION * epochs[-1] for epoch in epochs)
            later += lows[first:] + highs[first:]
            if len(curves) > 1:
                panel.fill_between(times, lows, highs, color=colour, alpha=0.2, linewidth=0)
        panel.set(ylabel=metric, xlabel=percentage or "epoch")
        _limit_y_axis(panel, later)
        _tick(panel, percentage)
        panel.grid(alpha=0.3)
    several = any(len(seeds) > 1 for seeds in histories.values())
    figure.suptitle("mean and range over the seeds" if several else "one seed", fontsize="medium")
    if is_direct:
        _name_ends(panels[-1], lines)
    else:
        columns = 2 if len(metrics) == 1 else 4
        figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=columns, fontsize="small")
    return figure


def _percentage(histories: Histories) -> str:
    """Returns the name of an x axis in percent of the training, if some are more than twice as long as others."""
    lengths = [max(map(max, history.values())) for seeds in histories.values() for history in seeds.values() if history]
    return f"part of the training ({min(lengths)} to {max(lengths)} epochs)" if max(lengths) > 2 * min(lengths) else ""


def _tick(panel: Axes, percentage: str, most: int | Literal["auto"] = "auto") -> None:
    """Sets the ticks of the x axis: whole epochs, or quarters of the training in percent."""
    if percentage:
        panel.set_xticks(QUARTERS, [f"{each} %" for each in QUARTERS])
    else:
        panel.xaxis.set_major_locator(MaxNLocator(most, integer=True))


def _name_ends(panel: Axes, lines: Mapping[str, Line2D]) -> None:
    """Writes the name of each curve to the right of its end; names that would overlap are moved apart."""
    bottom, top = panel.get_ylim()
    ends = {name: (float(np.asarray(line.get_ydata())[-1]) - bottom) / (top - bottom) for name, line in lines.items()}
    names = sorted(ends, key=lambda name: ends[name])
    heights = [min(max(ends[name], 0.0), 1.0) for name in names]
    for row in range(1, len(heights)):
        heights[row] = max(heights[row], heights[row - 1] + _LABEL_HEIGHT)
    ceiling = 1.0
    for row in reversed(range(len(heights))):
        heights[row] = min(heights[row], ceiling)
        ceiling = heights[row] - _LABEL_HEIGHT
    for name, height in zip(names, heights, strict=True):
        colour, end = lines[name].get_color(), float(np.asarray(lines[name].get_xdata())[-1])
        panel.annotate(
            name,
            (end, bottom + min(max(ends[name], 0.0), 1.0) * (top - bottom)),
            xytext=(1.04, height),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkB": 0, "relpos": (0, 0.5)},
            color=colour,
            va="center",
            fontsize=9,
            annotation_clip=False,
        )


def band(curves: Sequence[Mapping[int, float]]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Returns the epochs that all curves have, and the mean, minimum and maximum at each of them."""
    epochs = sorted(set.intersection(*map(set, curves)))
    values = [[curve[epoch] for curve in curves] for epoch in epochs]
    return epochs, list(map(statistics.mean, values)), list(map(min, values)), list(map(max, values))


def _limit_y_axis(panel: Axes, later: Sequence[float]) -> None:
    """Fits the y axis to the values after the beginning, if they take less than half of it."""
    bottom, top = panel.get_ylim()
    later = [value for value in later if math.isfinite(value)]
    low, high = min(later, default=bottom), max(later, default=top)
    if 0 < high - low < (top - bottom) / 2:
        panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
