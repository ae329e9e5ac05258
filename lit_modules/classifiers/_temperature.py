"""The temperature of a classifier: its option, its place in checkpoints, and what is said about it."""

from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn

Calibrate = Literal["none", "temperature"]


def require_calibrate(calibrate: str) -> None:
    """Checks the option.

    Raises:
        ValueError: If it is neither `none` nor `temperature`.
    """
    if calibrate not in ("none", "temperature"):
        raise ValueError(f"calibrate: {calibrate!r} is neither none nor temperature")


def load_temperature(module: Any, checkpoint: dict[str, Any]) -> None:
    """Adds a temperature of 1 to a checkpoint without one, or removes it for a module without the option.

    Warns if it was fitted to logits that are computed in another way.
    """
    weights = checkpoint["state_dict"]
    if module.calibrate == "none":
        weights.pop("temperature", None)
        return
    fitted = weights.setdefault("temperature", torch.ones(()))
    for name, before in checkpoint.get("calibrated_with", {}).items():
        if float(fitted) != 1 and before != (now := getattr(module, name)):
            rank_zero_warn(
                f"calibrate: the temperature {float(fitted):.4g} was fitted with {name} {before}, but the module has "
                f"{now}; `litzoo fit --ckpt_path last` fits it again"
            )


def warn_if_unfitted(module: Any) -> None:
    """Warns if the temperature is still 1."""
    if module.calibrate == "temperature" and float(module.temperature) == 1 and not module.trainer.fast_dev_run:
        rank_zero_warn(
            "calibrate: the temperature of this checkpoint was not fitted, so that its probabilities are not "
            "calibrated; the end of a training fits it, or `litzoo fit --ckpt_path last` after the training"
        )
