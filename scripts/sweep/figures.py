"""Draws the trials of a sweep: parallel coordinates, and how much each option matters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from litzoo.callbacks.reporting.figures import new_figure
from litzoo.scripts.sweep.space import Dimension

_MARGIN = 0.04
_LONG_CHOICE = 16
_COLOURS = "viridis"


def draw_importance(importances: Mapping[str, float], metric: str, count: int) -> Figure:
    """Draws the fraction of the variance over the search space that each option explains, the largest on top.

    Args:
        importances: Option -> fraction, from Optuna.
        metric: The metric that the trials are compared by.
        count: Number of completed trials.
    """
    names = sorted(importances, key=lambda name: importances[name])
    figure = new_figure(7, 0.45 * len(names) + 1.1)
    panel = figure.subplots()
    bars = panel.barh([name.replace(", ", ",\n") for name in names], [importances[name] for name in names])
    panel.bar_label(bars, [f"{importances[name]:.0%}" for name in names], padding=3)
    panel.set(xlim=(0, 1.1 * max(importances.values())), xlabel=f"importance for {metric} (fANOVA)")
    panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"which options decide {metric}, from {count} completed trials", fontsize="medium")
    return figure


def draw_parallel_coordinates(
    trials: Sequence[FrozenTrial], space: Sequence[Dimension], metric: str, mode: str
) -> Figure:
    """Draws each trial as a line over its options and its value; better trials are brighter and on top.

    Trials that were stopped early are grey and have no value; the best one is thick.

    Args:
        trials: Finished trials.
        space: The searched options.
        metric: The metric on the last axis.
        mode: `max` or `min`.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    values = [float(trial.value or 0) for trial in completed]
    low, high = min(values), max(values)
    colours = ScalarMappable(
        Normalize(low, high if high > low else low + 1), _COLOURS if mode == "max" else f"{_COLOURS}_r"
    )
    figure = new_figure(1.9 * (len(space) + 1) + 1.2, 4.6)
    panel = figure.subplots()
    for trial in trials:
        if trial.state == TrialState.PRUNED:
            panel.plot([_height(each, trial.params[each.name]) for each in space], color="lightgray", linewidth=0.8)
    order = sorted(completed, key=lambda trial: float(trial.value or 0), reverse=mode == "min")
    for trial in order:
        value = float(trial.value or 0)
        heights = [_height(each, trial.params[each.name]) for each in space]
        heights.append((value - low) / (high - low) if high > low else 0.5)
        best = trial is order[-1]
        colour = "tab:red" if best else colours.to_rgba(np.array(value))
        panel.plot(heights, color=colour, linewidth=2.6 if best else 1.1, alpha=1 if best else 0.8)
    for position, dimension in enumerate(space):
        _draw_axis(panel, position, [(_height(dimension, each), _text(each)) for each in _ticks(dimension)])
    ends = [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")] if high > low else [(0.5, f"{low:.4g}")]
    _draw_axis(panel, len(space), ends)
    names = [each.name.replace(", ", ",\n").replace(".", ".\u200b") for each in space]
    panel.set_xticks(range(len(space) + 1), [*map(_wrapped, names), metric], fontsize=9)
    panel.set(xlim=(-0.35, len(space) + 0.35), ylim=(-_MARGIN, 1 + _MARGIN))
    panel.set_yticks([])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    stopped = sum(trial.state == TrialState.PRUNED for trial in trials)
    grey = f"; grey: {stopped} stopped early" if stopped else ""
    figure.suptitle(f"{len(completed)} completed trials; red: the best, brighter: better{grey}", fontsize="medium")
    return figure


def _height(dimension: Dimension, value: Any) -> float:
    """Returns the place of a value on its axis, from 0 to 1."""
    if dimension.kind == "choice":
        return dimension.values.index(value) / (len(dimension.values) - 1)
    low, high, number = (float(each) for each in (*dimension.values[:2], value))
    if dimension.kind == "log":
        low, high, number = map(math.log, (low, high, number))
    return (number - low) / (high - low)


def _ticks(dimension: Dimension) -> list[object]:
    """Returns all choices; for a range its ends, and the powers of ten or the middle between them."""
    if dimension.kind == "choice":
        return list(dimension.values)
    low, high = dimension.values[:2]
    if dimension.kind == "log":
        powers = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        inner = [each for each in powers if 0.08 < _height(dimension, each) < 0.92]
        return [low, *inner, high]
    return [low, (low + high) / 2, high]


def _text(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
    return text if len(text) <= _LONG_CHOICE else f"{text[: _LONG_CHOICE - 1]}…"


def _wrapped(name: str) -> str:
    """Breaks a long name of an option after one of its dots."""
    lines, line = [], ""
    for part in name.split("\u200b"):
        if line and len(line + part) > 18 and not line.endswith("\n"):
            lines.append(line)
            line = ""
        line += part
    return "\n".join([*lines, line])


def _draw_axis(panel: Axes, position: int, ticks: Sequence[tuple[float, str]]) -> None:
    panel.axvline(position, color="black", linewidth=0.9, zorder=0)
    for height, text in ticks:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
        panel.text(position + 0.03, height, text, fontsize=8, va="center", bbox=box, zorder=5)
