"""Draws a metric of all runs of a comparison against the epoch."""

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from callbacks.figures import new_figure

Histories = Mapping[str, Mapping[int, Mapping[str, Mapping[int, float]]]]
"""Variant -> seed -> metric -> epoch (from 1) -> value."""


def choose_curve(asked: str | None, metric: str, histories: Histories) -> str:
    """Returns the metric to draw: the one asked for, else validation's counterpart of the test's or the nearest to it.

    Raises:
        ValueError: If not every run has logged it; the message names those that every run has.
    """
    logged = [set(history) for seeds in histories.values() for history in seeds.values()]
    there = set.intersection(*logged) if logged else set()
    wanted = [asked] if asked else [f"val/{metric.split('/')[1]}", "val/acc", "val/rmse", "val/loss", "train/loss"]
    for name in wanted:
        if name in there:
            return name
    raise ValueError(
        f"--curve {wanted[0]}: was not logged in every run; there are {', '.join(sorted(there)) or 'none'}"
    )


def draw_curves(histories: Histories, metric: str) -> Figure:
    """Draws each variant's mean over its seeds, and the band from its lowest to its highest seed.

    An epoch that not all of a variant's seeds have reached is left out.
    """
    figure = new_figure(7, 4.4)
    panel = figure.subplots()
    # Where the colours begin anew, the lines are of another kind.
    colours = list(TABLEAU_COLORS)
    panel.set_prop_cycle(color=3 * colours, linestyle=[style for style in ("-", "--", ":") for _ in colours])
    for variant, seeds in histories.items():
        epochs, means, lows, highs = band([history[metric] for history in seeds.values()])
        (line,) = panel.plot(epochs, means, label=f"{variant} ({len(seeds)})", marker="." if len(epochs) < 40 else "")
        if len(seeds) > 1:
            panel.fill_between(epochs, lows, highs, color=line.get_color(), alpha=0.2, linewidth=0)
    panel.set(xlabel="epoch", ylabel=metric, title="mean and range over the seeds")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small" if len(histories) > 8 else None)
    return figure


def band(curves: Sequence[Mapping[int, float]]) -> tuple[list[int], list[float], list[float], list[float]]:
    """Returns the epochs that all curves have, and in each the mean, the lowest and the highest value."""
    epochs = sorted(set.intersection(*map(set, curves)))
    values = [[curve[epoch] for curve in curves] for epoch in epochs]
    return epochs, list(map(statistics.mean, values)), list(map(min, values)), list(map(max, values))
