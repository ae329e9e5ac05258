"""Temperature and class bias of a classifier: the option, their place in checkpoints, and what is said about them."""

from typing import Any, Literal, get_args

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

Calibrate = Literal["none", "temperature", "temperature_and_bias"]


def require_calibrate(calibrate: str, posthoc_tau: float) -> None:
    """Checks the option.

    Raises:
        ValueError: If it is none of its choices, or a bias would undo post-hoc adjustment.
    """
    if calibrate not in get_args(Calibrate):
        raise ValueError(f"calibrate: {calibrate!r} is none of {', '.join(get_args(Calibrate))}")
    if calibrate == "temperature_and_bias" and posthoc_tau:
        raise ValueError(
            f"calibrate: temperature_and_bias would undo posthoc_tau {posthoc_tau}, which favours rare classes beyond "
            "their probability: use one of the two"
        )


def register_calibration(module: Any, num_classes: int) -> None:
    """Registers the buffers of the option: a temperature of 1, and a bias of 0 for each class."""
    if module.calibrate != "none":
        module.register_buffer("temperature", torch.ones(()))
    if module.calibrate == "temperature_and_bias":
        module.register_buffer("class_bias", torch.zeros(num_classes))


def calibrated(module: Any, logits: Tensor) -> Tensor:
    """Returns the logits `[B, K]` of tests and predictions."""
    if module.calibrate == "none":
        return logits
    logits = logits.float() / module.temperature
    return logits + module.class_bias if module.calibrate == "temperature_and_bias" else logits


def load_temperature(module: Any, checkpoint: dict[str, Any]) -> None:
    """Adds a temperature of 1 and no bias to a checkpoint without them, or removes what the module has no option for.

    Warns if they were fitted to logits that are computed in another way, or together.
    """
    weights = checkpoint["state_dict"]
    if module.calibrate == "none":
        weights.pop("temperature", None)
        weights.pop("class_bias", None)
        return
    fitted = weights.setdefault("temperature", torch.ones(()))
    if module.calibrate == "temperature_and_bias":
        weights.setdefault("class_bias", torch.zeros_like(module.class_bias))
    elif (bias := weights.pop("class_bias", None)) is not None and bool(bias.any()):
        rank_zero_warn(
            f"calibrate: the temperature {float(fitted):.4g} was fitted together with a bias for each class, which "
            "calibrate: temperature leaves out; `litzoo fit --ckpt_path last` fits it again"
        )
    for name, before in checkpoint.get("calibrated_with", {}).items():
        if float(fitted) != 1 and before != (now := getattr(module, name)):
            rank_zero_warn(
                f"calibrate: the temperature {float(fitted):.4g} was fitted with {name} {before}, but the module has "
                f"{now}; `litzoo fit --ckpt_path last` fits it again"
            )


def warn_if_unfitted(module: Any) -> None:
    """Warns if the temperature is still 1."""
    if module.calibrate != "none" and float(module.temperature) == 1 and not module.trainer.fast_dev_run:
        rank_zero_warn(
            "calibrate: the temperature of this checkpoint was not fitted, so that its probabilities are not "
            "calibrated; the end of a training fits it, or `litzoo fit --ckpt_path last` after the training"
        )
