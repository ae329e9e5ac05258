"""The samples that thresholds, temperatures and prediction sets are calibrated on."""

from typing import Any, Literal

from litzoo.callbacks.contracts import ReservesCalibration

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
