"""Draws metrics of all runs of a comparison against the epoch."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import cycle, product

from matplotlib.axes import Axes
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from litzoo.callbacks.reporting.figures import new_figure

BEGINNING = 0.1
"""Fraction of a training that may be cut off from the top or the bottom of a panel."""
Histories = Mapping[str, Mapping[int, Mapping[str, Mapping[int, float]]]]
"""Variant -> seed -> metric -> epoch (from 1) -> value."""


def choose_curves(asked: Sequence[str], metric: str, histories: Histories) -> list[str]:
    """Returns the metrics to draw: those asked for, else validation's counterpart of the test's or the nearest to it.

    Raises:
        ValueError: If no run has logged one that is asked for; the message names those that there are.
    """
    logged = [set(history) for seeds in histories.values() for history in seeds.values()]
    everywhere, somewhere = set.intersection(*logged), set.union(*logged)
    if asked:
        missing = [name for name in asked if name not in somewhere]
        found = list(asked)
    else:
        usual = [f"val/{metric.split('/')[1]}", "val/acc", "val/rmse", "val/loss", "train/loss"]
        found = [name for name in usual if name in everywhere][:1]
        missing = [] if found else usual
    if missing:
        raise ValueError(f"--curve {missing[0]}: was not logged; there are {', '.join(sorted(somewhere)) or 'none'}")
    return found


def draw_curves(histories: Histories, metrics: Sequence[str]) -> Figure:
    """Draws each variant's mean over its seeds, and the band from its lowest to its highest seed, a panel a metric.

    An epoch that not all of a variant's seeds have reached is left out, and a variant that has no such metric. Where
    some were trained for many more epochs than others, each is drawn against its fraction of the training. A steep
    beginning is cut off where it would leave less than half of the panel to the rest.
    """
    figure = new_figure(7 if len(metrics) == 1 else 4.2 * len(metrics), 4.4)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    lengths = [max(map(max, history.values())) for seeds in histories.values() for history in seeds.values() if history]
    relative = max(lengths) > 2 * min(lengths)
    # Where the colours begin anew, the lines are of another kind.
    kinds = list(product(("-", "--", ":", "-."), TABLEAU_COLORS))
    drawn: dict[str, Line2D] = {}
    for panel, metric in zip(panels, metrics, strict=True):
        settled: list[float] = []
        for (style, colour), (variant, seeds) in zip(cycle(kinds), histories.items(), strict=False):
            curves = [history[metric] for history in seeds.values() if metric in history]
            if not curves:
                continue
            epochs, means, lows, highs = band(curves)
            times = [100 * epoch / epochs[-1] for epoch in epochs] if relative else epochs
            (line,) = panel.plot(times, means, color=colour, linestyle=style, marker="." if len(epochs) < 40 else "")
            drawn.setdefault(f"{variant} ({len(seeds)})", line)
            begun = sum(epoch <= BEGINNING * epochs[-1] for epoch in epochs)
            settled += lows[begun:] + highs[begun:]
            if len(curves) > 1:
                panel.fill_between(times, lows, highs, color=colour, alpha=0.2, linewidth=0)
        panel.set(ylabel=metric, xlabel=f"% of {min(lengths)} to {max(lengths)} epochs" if relative else "epoch")
        _make_room(panel, settled)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
    several = any(len(seeds) > 1 for seeds in histories.values())
    figure.suptitle("mean and range over the seeds" if several else "one seed", fontsize="medium")
    columns = 2 if len(metrics) == 1 else 4
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=columns, fontsize="small")
    return figure


def _make_room(panel: Axes, settled: Sequence[float]) -> None:
    bottom, top = panel.get_ylim()
    low, high = min(settled, default=bottom), max(settled, default=top)
    if 0 < high - low < (top - bottom) / 2:
        panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def band(curves: Sequence[Mapping[int, float]]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Returns the epochs that all curves have, and in each the mean, the lowest and the highest value."""
    epochs = sorted(set.intersection(*map(set, curves)))
    values = [[curve[epoch] for curve in curves] for epoch in epochs]
    return epochs, list(map(statistics.mean, values)), list(map(min, values)), list(map(max, values))
