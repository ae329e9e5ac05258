"""Draws the differences of a comparison with their intervals."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from litzoo.callbacks.reporting.figures import new_figure
from litzoo.scripts.compare.results import describe_difference, scale_of

_ROW_HEIGHT, _MIN_HEIGHT, _MARGINS = 0.36, 1.0, 1.25
"""In inches."""
_LONG_NAME = 28
_MANY_DIGITS = 1e4
_LOWER_IS_BETTER = {"loss", "rmse", "mae", "mse", "fpr95_known_positive", "fpr95_unknown_positive"} | {
    *("ece", "adaptive_ece", "ece_uncalibrated")
}
_HIGHER_IS_BETTER = {
    *("acc", "f1", "balanced_acc", "precision", "recall", "average_precision", "accuracy", "r2"),
    *("auroc", "aupr_unknown_positive", "oscr", "found", "open_set_f1"),
    *("map", "map_50", "mask_map", "mask_map_50"),
}


def draw_differences(
    results: Mapping[str, Mapping[str, Any]], metric: str, unit: str = "seed", baseline: str | None = None
) -> Figure | None:
    """Draws a forest plot: a row for each variant with its mean difference to the first one and the 95 % interval.

    Intervals that exclude zero are drawn in colour; a difference of a single seed has no interval and an open marker.
    Values are written on the right. Differences that are NaN or infinite are not drawn; the title names them.

    Args:
        results: From `collect`.
        metric: The compared metric.
        unit: What the pairs have in common, `seed` or `fold`.
        baseline: The first variant that was asked for; the title says so if it is not in the results.

    Returns:
        The figure; None where no variant has a difference.
    """
    found = {name: result["difference"] for name, result in results.items() if result["difference"]}
    compared = {name: difference for name, difference in found.items() if math.isfinite(difference["mean"])}
    if not compared:
        return None
    first = next(iter(results))
    scale, digits = scale_of(results, metric)
    wide = 8.0 if max(map(len, compared)) <= _LONG_NAME else 9.5
    figure = new_figure(wide, max(_MIN_HEIGHT, _ROW_HEIGHT * len(compared)) + _MARGINS)
    panel = figure.subplots()
    panel.axvline(0, color="black", linewidth=1)
    for row, difference in enumerate(compared.values()):
        _draw_row(panel, row, {name: difference[name] for name in ("mean", "low", "high")}, scale)
        text = describe_difference(difference, scale, digits)
        panel.text(1.02, row, text, transform=panel.get_yaxis_transform(), va="center", fontsize=9)
    panel.set_yticks(range(len(compared)), list(compared))
    panel.set_ylim(len(compared) - 0.4, -0.6)
    low, high = panel.get_xlim()
    panel.set_xlim(min(low, 0), max(high, 0))
    if max(map(abs, panel.get_xlim())) >= _MANY_DIGITS:  # matplotlib would write a factor such as 1e6 at the end
        panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    panel.grid(axis="x", alpha=0.3)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    pairs = sorted({difference["pairs"] for difference in compared.values()})
    numbers = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    interval = "with 95 % interval, " if any(each["low"] is not None for each in compared.values()) else ""
    points = " (points)" if scale == 100 else ""
    panel.set_xlabel(f"difference in {metric}{points} to {first}{_direction(metric)}")
    of_pairs = f"{numbers} {unit}{'s' if numbers != '1' else ''}"
    title = f"{metric}: mean difference to {first}, {interval}{of_pairs}"
    if baseline not in (None, first):
        title += f"\n{baseline}, the first variant, has no result"
    if left := [name for name in found if name not in compared]:
        title += f"\nnot drawn, since not finite: {', '.join(left)}"
    figure.suptitle(title, fontsize="medium")
    return figure


def _draw_row(panel: Axes, row: int, difference: Mapping[str, float | None], scale: float) -> None:
    mean, low, high = (None if value is None else scale * value for value in difference.values())
    assert mean is not None
    excludes_zero = low is not None and high is not None and (low > 0 or high < 0)
    colour = "tab:blue" if excludes_zero else "tab:gray"
    if low is not None and high is not None:
        panel.hlines(row, low, high, color=colour, linewidth=2)
        panel.plot([low, high], [row, row], linestyle="", marker="|", markersize=9, color=colour)
    panel.plot(mean, row, "o", color=colour, markerfacecolor="white" if low is None else colour, markersize=7)


def _direction(metric: str) -> str:
    words = metric.split("/")
    if not _LOWER_IS_BETTER.isdisjoint(words):
        return "; lower is better"
    return "" if _HIGHER_IS_BETTER.isdisjoint(words) else "; higher is better"
