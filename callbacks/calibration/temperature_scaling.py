"""Lightning callback that fits the temperature of a classifier, and draws its reliability."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.calibration.outlier import Outlier, find_outlier
from litzoo.callbacks.calibration.part import calibration_part, plain_sample_count
from litzoo.callbacks.calibration.shift import shifted_classes
from litzoo.callbacks.calibration.temperature import FittedTemperature, fit_temperature, require_enough
from litzoo.callbacks.calibration.temperature_and_bias import FEW, fit_temperature_and_bias
from litzoo.callbacks.checkpoints.atomic_io import add_state_to_checkpoints
from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.callbacks.contracts import STEP_OUTPUTS
from litzoo.callbacks.evaluation import evaluate_part, options_at_test_time
from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.plain_modules import parts_of, predicts
from litzoo.callbacks.reporting.figures import CARD_WIDTH, new_figure, publish_figure
from litzoo.datamodules.batch import UNKNOWN
from litzoo.lit_modules.metrics import CalibrationError


class TemperatureScaling(CollectsTestOutputs):
    """Fits the temperature of a classifier whose option `calibrate` is set; every run of the command has it.

    With `calibrate: temperature_and_bias` it fits a bias for each class as well. With `temperature` it warns of classes
    whose probability is on average another than their fraction of the samples, which a temperature cannot repair.

    At the end of training it is fitted with the weights of each checkpoint on the validation samples that a callback
    has reserved for the calibration, else on all validation samples, and stored among the weights. Tests and
    predictions divide the logits by it; training and validation do not.

    Logs in a test, beside the module's metrics: `test/temperature` and `test/ece_uncalibrated`. Draws
    `figures/reliability.png`: accuracy over confidence, before and after.

    A module of your own has a buffer `temperature`, a scalar of 1, by which its `test_step` and `predict_step` divide
    the logits; one with another buffer `class_bias`, zeros `[K]`, which they add afterwards, has that fitted too.

    Callbacks that are calibrated on the logits, such as `UnknownClassDetector` and `PredictionSets`, come after it.
    """

    def __init__(self) -> None:
        super().__init__("target", "logits")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and callbacks.

        Raises:
            TypeError: If the module has no temperature, or the datamodule serves no validation samples.
            ValueError: If there are no or too few validation samples, or a callback that is calibrated on the logits
                comes first.
        """
        if not predicts(pl_module) or not isinstance(getattr(pl_module, "temperature", None), torch.Tensor):
            raise TypeError(
                f"TemperatureScaling needs a classifier with the option calibrate: temperature, which this "
                f"{type(pl_module).__name__} has not: set model.calibrate, in Python the module's "
                'calibrate="temperature", or remove the callback. Or '
                f"{STEP_OUTPUTS}; and register a buffer `temperature`, torch.ones(()), by which test_step and "
                "predict_step divide the logits"
            )
        callbacks = list(trainer.callbacks)  # type: ignore[attr-defined]
        for other in callbacks[: callbacks.index(self)]:
            if getattr(other, "calibrates", False):
                raise ValueError(
                    f"TemperatureScaling: list it before {type(other).__name__}, which is calibrated on the logits "
                    "that it changes"
                )
        pl_module.fits_temperature = True  # type: ignore[assignment]
        datamodule = parts_of(trainer)
        if stage != "fit":
            return
        if not datamodule.validates:
            raise ValueError(
                f"model.calibrate: {_option(pl_module)} is fitted on validation samples, but data.val_size is 0: set "
                "it, or set model.calibrate to none; a trainer with loaders of your own needs val_dataloaders"
            )
        if datamodule.val_set is not None:
            require_enough(len(calibration_part(datamodule)[1]))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resets temperature and bias, which were fitted to weights that change from now on."""
        _reset(pl_module)
        if (count := plain_sample_count(trainer)) is not None:
            require_enough(count)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fits temperature and bias for the weights of each checkpoint, and adds them to its file."""
        options = options_at_test_time(pl_module)
        # The option too: it may have been added to a finished training.
        entries = {"hyper_parameters": {"calibrate": pl_module.calibrate}} if hasattr(pl_module, "calibrate") else {}
        entries["calibrated_with"] = {name: options[name] for name in ("posthoc_tau", "tta")}
        buffers = ["temperature", *(["class_bias"] if _bias(pl_module) is not None else [])]
        add_state_to_checkpoints(
            self, trainer, pl_module, lambda weights: self._fit(trainer, pl_module, weights), buffers, entries
        )

    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Logs the metrics and draws the figure."""
        run_folder = run_folder_of(trainer)
        known = outputs["target"] != UNKNOWN
        logits, target = outputs["logits"][known].cpu(), outputs["target"][known].cpu()
        temperature = float(_temperature(pl_module))
        pl_module.log("test/temperature", temperature, sync_dist=True)
        if not len(target):
            return
        bias = _bias(pl_module)
        before = (logits if bias is None else logits - bias.cpu()) * temperature
        error = CalibrationError()
        error.update(before, target)
        pl_module.log("test/ece_uncalibrated", float(error.local()), sync_dist=True)
        if trainer.is_global_zero:
            drawn = before, logits, target, f"temperature {temperature:.3g}" + (" and bias" if bias is not None else "")
            card = draw_reliability(*drawn, is_card=True)
            publish_figure(trainer, "reliability", draw_reliability(*drawn), run_folder, card)

    def _fit(self, trainer: Trainer, pl_module: LightningModule, weights: str) -> None:
        """Fits temperature and bias for the current weights of the module, which have this name."""
        _reset(pl_module)
        part, _ = calibration_part(parts_of(trainer))
        outputs = evaluate_part(trainer, pl_module, part, "logits", test_time=True)
        bias = _bias(pl_module)
        fit = fit_temperature if bias is None else fit_temperature_and_bias
        fitted = fit(outputs["logits"], outputs["target"])
        _temperature(pl_module).fill_(fitted.temperature)
        if bias is not None:
            assert fitted.bias is not None
            bias.copy_(fitted.bias)
            _warn_of_few(pl_module, outputs["target"], len(bias))
        else:
            _warn_of_shift(pl_module, outputs["logits"] / fitted.temperature, outputs["target"], weights)
        fitted_parts = "Temperature" if bias is None else "Bias for each class and temperature"
        rank_zero_info(
            f"{fitted_parts} {fitted.temperature:.4g} for {weights}: the cross-entropy of {fitted.samples:,} "
            f"calibration samples, on which it was fitted, is {fitted.after:.4g}, {fitted.before:.4g} without"
        )
        if outlier := find_outlier(fit, outputs["logits"], outputs["target"], fitted.temperature):
            _warn_of_outlier(parts_of(trainer), pl_module, outputs, outlier, fitted)


def draw_reliability(
    before: Tensor, after: Tensor, target: Tensor, fitted: str, bins: int = 15, is_card: bool = False
) -> Figure:
    """Draws accuracy over confidence in bins of equal width, before and after temperature scaling.

    Below are the samples in each bin: the accuracy of a bin with few of them says little.

    Args:
        before: Logits `[N, K]` before.
        after: Logits `[N, K]` after.
        target: Classes `[N]`.
        fitted: What was fitted, for the title.
        bins: How many bins.
        is_card: Whether the panels are one below the other, for a card of TensorBoard.
    """
    figure = new_figure(CARD_WIDTH, 8.6) if is_card else new_figure(9, 5.2)
    rows = 4 if is_card else 2
    grid = figure.subplots(rows, 4 // rows, sharex=True, sharey="row", height_ratios=(4, 1) * (rows // 2))
    panels, below = grid.reshape(rows, -1)[::2].ravel(), grid.reshape(rows, -1)[1::2].ravel()
    for panel, samples, logits, name in zip(
        panels, below, (before, after), ("before", f"after, {fitted}"), strict=True
    ):
        error = CalibrationError(bins)
        error.update(logits, target)
        counts, middle = error.counts.numpy(), (np.arange(bins) + 0.5) / bins
        filled = counts > 0
        accuracy = error.correct.numpy()[filled] / counts[filled]
        confidence = error.confidence.numpy()[filled] / counts[filled]
        panel.bar(middle[filled], accuracy, 1 / bins, color="tab:blue", alpha=0.6, edgecolor="white", label="accuracy")
        look: Any = {"color": "black", "markersize": 3, "clip_on": False, "zorder": 3}  # dots at 0 and 1 are whole
        panel.plot(confidence, accuracy, "o", label="at the mean confidence", **look)
        panel.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--", label="calibrated")
        panel.set(title=f"{name}: ECE {float(error.local()):.4f}", xlim=(0, 1), ylim=(0, 1))
        panel.grid(alpha=0.3)
        samples.bar(middle, counts, 1 / bins, color="tab:gray", edgecolor="white")
        samples.set(xlabel=f"confidence, {bins} bins", yscale="log", ylim=(0.7, None))
    below[0].set_ylabel("samples")
    panels[0].set_ylabel(f"accuracy on {len(target):,} test samples")
    panels[0].legend(loc="upper left", fontsize=8)
    return figure


def _warn_of_shift(module: Any, logits: Tensor, target: Tensor, weights: str) -> None:
    """Warns of classes whose probability a temperature leaves wrong."""
    names = list(getattr(module, "class_names", ()))
    if shifted := shifted_classes(logits.double().softmax(dim=1), target, names):
        rank_zero_warn(
            f"model.calibrate: temperature leaves probabilities wrong for {weights}: {shifted}. No temperature repairs "
            "what class weights, balanced sampling or a loss for imbalance shift, or a network that has not learned "
            "enough; give model.calibrate: temperature_and_bias, which changes predicted classes too, or train longer"
        )


def _warn_of_few(module: Any, target: Tensor, classes: int) -> None:
    """Warns of classes whose bias is hardly known."""
    counts = torch.bincount(target[target != UNKNOWN], minlength=classes).tolist()
    few = {number: count for number, count in enumerate(counts) if count < FEW}
    if not few:
        return
    names = list(getattr(module, "class_names", ())) or [str(number) for number in range(classes)]
    shown = ", ".join(f"{names[number]} ({count})" for number, count in list(few.items())[:5])
    rank_zero_warn(
        f"model.calibrate: temperature_and_bias has fewer than {FEW} calibration samples of {len(few)} of {classes} "
        f"classes: {shown}{', …' if len(few) > 5 else ''}. Their bias is uncertain, and a class without samples comes "
        "out rarer than it is; raise data.val_size, or set model.calibrate to temperature"
    )


def _warn_of_outlier(
    data: Any, module: Any, outputs: dict[str, Tensor], outlier: Outlier, fitted: FittedTemperature
) -> None:
    """Warns of a temperature that rests on one sample."""
    index, target = int(outputs["index"][outlier.position]), int(outputs["target"][outlier.position])
    named = data.sample_names() if hasattr(data, "sample_names") else {}
    names = list(getattr(module, "class_names", ())) or [str(each) for each in range(outputs["logits"].shape[1])]
    sample = next((f"{column} {cells[index]}" for column, cells in named.items()), f"training sample {index}")
    without = "there would be none, since all others are classified correctly"
    if outlier.without is not None:
        without = f"it would be {outlier.without:.3g}"
    rank_zero_warn(
        f"model.calibrate: the temperature {fitted.temperature:.3g} rests on one of {fitted.samples:,} calibration "
        f"samples, {sample}: its label is {names[target]}, predicted is {names[outlier.predicted]} with a confidence "
        f"of {outlier.confidence:.3g}. Without it {without}. All probabilities may come out too small: check this "
        "label, or raise data.val_size"
    )


def _option(module: Any) -> str:
    return str(getattr(module, "calibrate", "temperature"))


def _reset(module: Any) -> None:
    _temperature(module).fill_(1)
    if (bias := _bias(module)) is not None:
        bias.zero_()


def _bias(module: Any) -> Tensor | None:
    bias = getattr(module, "class_bias", None)
    return bias if isinstance(bias, torch.Tensor) else None


def _temperature(module: Any) -> Tensor:
    assert isinstance(module.temperature, torch.Tensor)
    return module.temperature
