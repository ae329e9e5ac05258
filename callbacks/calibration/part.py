"""What callbacks that are calibrated share: the samples for it, and checks of order and options."""

from collections.abc import Mapping
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.contracts import ReservesCalibration
from litzoo.callbacks.evaluation import options_at_test_time
from litzoo.callbacks.plain_modules import PlainLoaders, parts_of
from litzoo.callbacks.reporting.predictions_csv import PredictionsCSV

STRICT_FROM = 1000
"""Number of validation samples from which on a part of them is only used for the calibration."""
CALIBRATION_FRACTION = 0.5
"""Fraction of the validation samples in that part."""


def calibration_part(datamodule: Any) -> tuple[Literal["val", "calibration"], Any]:
    """Returns the part of the data to calibrate on, and its samples: those reserved, else all validation samples."""
    reserved = getattr(datamodule, "calibration_set", None)
    return ("val", datamodule.val_set) if reserved is None else ("calibration", reserved)


def reserve_calibration(name: str, datamodule: Any, fraction: float | None) -> None:
    """Keeps validation samples for the calibration, out of the validation.

    Args:
        name: The callback, for messages.
        datamodule: The datamodule, after its `setup`.
        fraction: Fraction of the validation samples; by default a half from 1,000 on, else 0.

    Raises:
        TypeError: If a fraction is given, but the datamodule cannot do it.
    """
    if not isinstance(datamodule, ReservesCalibration):
        if fraction:
            raise TypeError(
                f"{name}.calibration_fraction: {fraction}, but a {type(datamodule).__name__} has no "
                "reserve_calibration; leave it out"
            )
        return
    if fraction is None:
        datamodule.reserve_calibration(0)
        many = len(getattr(datamodule, "val_set", None) or ()) >= STRICT_FROM
        fraction = CALIBRATION_FRACTION if many else 0
    datamodule.reserve_calibration(fraction)


def plain_sample_count(trainer: Trainer) -> int | None:
    """Returns how many validation samples the loaders of a trainer have, from the start of the training on.

    None if they do not know it, or if a datamodule serves the samples, which is checked before.
    """
    parts = parts_of(trainer)
    return len(parts.val_set) if isinstance(parts, PlainLoaders) and hasattr(parts.val_set, "__len__") else None


def require_fraction(name: str, fraction: float | None) -> None:
    """Checks the argument `calibration_fraction`.

    Raises:
        ValueError: If it is outside [0, 1).
    """
    if fraction is not None and not 0 <= fraction < 1:
        raise ValueError(
            f"{name}.calibration_fraction: {fraction} is outside [0, 1); 0.5 is usual, 0 calibrates on all validation "
            "samples"
        )


def require_before_csv(callback: Callback, trainer: Trainer, stage: str) -> None:
    """Checks that a callback that changes predictions comes before the one that writes them.

    Raises:
        ValueError: If it does not.
    """
    order = list(trainer.callbacks)  # type: ignore[attr-defined]
    if stage == "predict" and any(isinstance(each, PredictionsCSV) for each in order[: order.index(callback)]):
        raise ValueError(
            f"{type(callback).__name__}: list it before PredictionsCSV, which would otherwise write the predictions "
            "without it"
        )


def require_same_options(callback: Callback, fitted_with: Mapping[str, Any], module: LightningModule) -> None:
    """Checks that a module computes its logits as it did when a callback was fitted.

    Args:
        callback: For messages.
        fitted_with: `options_at_test_time` of the module at that time.
        module: The module.

    Raises:
        ValueError: If an option differs.
    """
    for name, now in options_at_test_time(module).items():
        before = fitted_with.get(name)
        if before != now:
            raise ValueError(
                f"{type(callback).__name__}: fitted with {name} {_as_text(before)}, but the module has "
                f"{_as_text(now)}, and scores depend on it; use the former, or fit again with "
                "`litzoo fit --ckpt_path last` and the latter"
            )


def _as_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
