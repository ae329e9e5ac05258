"""Figures of a regressor's test."""

from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from torch import Tensor

from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.figures import CARD_WIDTH, new_figure, publish_figure

_MOST_POINTS = 5000


class ResidualPlot(CollectsTestOutputs):
    """Draws the residuals of the test, prediction minus target, as `figures/residuals.png` and in TensorBoard.

    Three panels: predictions against targets, residuals against predictions, and the histogram of the residuals. The
    first two show at most 5,000 samples, evenly spaced over the test set. Where a few outliers would leave less than a
    tenth of an axis to all others, they are outside, and the titles say how many.
    """

    def __init__(self) -> None:
        super().__init__("prediction", "target")

    def collected(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], batch: Any
    ) -> dict[str, Tensor]:
        """Returns the outputs of a test step.

        Raises:
            TypeError: If the module does not predict numbers.
        """
        if "prediction" not in outputs:
            raise TypeError(
                f"ResidualPlot draws predicted numbers, but {type(pl_module).__name__} predicts none: remove the "
                "callback or choose a regressor"
            )
        return outputs

    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Draws and publishes the figure on rank 0."""
        run_folder = run_folder_of(trainer)
        if trainer.is_global_zero:
            prediction, target = (outputs[name].double().cpu().numpy() for name in ("prediction", "target"))
            figure, card = (draw_residuals(prediction, target, is_card) for is_card in (False, True))
            publish_figure(trainer, "residuals", figure, run_folder, card)


def draw_residuals(prediction: np.ndarray, target: np.ndarray, is_card: bool = False) -> Figure:
    """Draws predictions against targets, residuals against predictions, and a histogram of the residuals.

    Args:
        prediction: Predictions `[N]`, in the target's units.
        target: Targets `[N]`.
        is_card: Whether the panels are one below the other, for a card of TensorBoard.
    """
    residual, samples = prediction - target, len(target)
    finite = np.isfinite(residual)
    prediction, target, residual = prediction[finite], target[finite], residual[finite]
    broken = f", {samples - len(target):,} not finite" if len(target) < samples else ""
    figure = new_figure(CARD_WIDTH, 9.6) if is_card else new_figure(12.5, 3.9)
    fit, spread, counts = figure.subplots(*((3, 1) if is_card else (1, 3)))
    if not len(target):
        fit.set_title(f"test set, {samples:,} samples{broken}")
        return figure
    shown = np.unique(np.linspace(0, len(target) - 1, min(len(target), _MOST_POINTS)).astype(int))
    look = {"s": 8, "alpha": 0.4, "linewidths": 0}
    fit.scatter(target[shown], prediction[shown], **look)
    fit.axline((target[0], target[0]), slope=1, color="black", linewidth=1)
    fit.set(title=f"test set, {samples:,} samples{broken}", xlabel="target", ylabel="prediction")
    spread.scatter(prediction[shown], residual[shown], **look)
    spread.axhline(0, color="black", linewidth=1)
    rmse, bias = np.sqrt((residual**2).mean()), residual.mean()
    spread.set(
        title=f"RMSE {_shown(rmse)}, mean residual {_shown(bias)}", xlabel="prediction", ylabel="prediction − target"
    )
    counts.hist(residual, bins=min(60, max(10, len(target) // 20)), range=_limits(residual))
    counts.axvline(0, color="black", linewidth=1)
    counts.set(title="residuals", xlabel="prediction − target", ylabel="samples")
    for panel, x, y in ((fit, target, prediction), (spread, prediction, residual), (counts, residual, None)):
        panel.grid(alpha=0.3)
        _leave_outliers_out(panel, x, y)
        _make_ticks_readable(panel)
    return figure


def _shown(number: float) -> str:
    """Returns a number with four digits, or all those before the decimal point: 0.3333, 69,073."""
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e7 else f"{number:.4g}"


def _make_ticks_readable(panel: Axes) -> None:
    """Labels the axes with few numbers, with separators of thousands; very large and small ones as powers of ten."""
    for axis in (panel.xaxis, panel.yaxis):
        is_long = 1e3 <= np.abs(axis.get_view_interval()).max() < 1e6
        axis.set_major_locator(MaxNLocator(3 if is_long and axis is panel.xaxis else 5, steps=[1, 2, 2.5, 5, 10]))
        if is_long:
            axis.set_major_formatter(lambda number, _: f"{number:,.10g}".replace("-", "−"))
        else:
            plain = ScalarFormatter(useMathText=True)
            plain.set_powerlimits((-3, 4))
            axis.set_major_formatter(plain)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Returns minimum and maximum, without outliers if those would leave less than a tenth of the range to the rest.

    An outlier is more than ten interquartile ranges from the quartiles.
    """
    low, high = np.percentile(values, [25, 75])
    inside = values[(values >= low - 10 * (high - low)) & (values <= high + 10 * (high - low))]
    kept = inside if np.ptp(values) > 10 * np.ptp(inside) > 0 else values
    return float(kept.min()), float(kept.max())


def _leave_outliers_out(panel: Axes, x: np.ndarray, y: np.ndarray | None) -> None:
    """Limits the axes of a panel to all samples but the outliers, whose number is added to the title."""
    outside = np.zeros(len(x), dtype=bool)
    for values, set_limits in ((x, panel.set_xlim), (y, panel.set_ylim)):
        if values is None:
            continue
        low, high = _limits(values)
        left_out = (values < low) | (values > high)
        if left_out.any():
            margin = 0.05 * (high - low)
            set_limits(low - margin, high + margin)
            outside |= left_out
    if count := int(outside.sum()):
        panel.set_title(f"{panel.get_title()}\n{count:,} outside", fontsize="medium")
