"""Test-time augmentation: predictions averaged over transformed copies of the input."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

TTA = Literal["none", "flip"]
Outputs = tuple[dict[str, Tensor], Tensor]


def require_tta(tta: str) -> None:
    """Checks the option.

    Raises:
        ValueError: If it is neither `none` nor `flip`.
    """
    if tta not in ("none", "flip"):
        raise ValueError(f"tta: {tta!r} is neither none nor flip")


def mean_over_flips(predict: Callable[[Tensor], Outputs], x: Tensor) -> Outputs:
    """Averages features and logits over images and their mirror images.

    Args:
        predict: Returns features `[B, D]` by name, and logits `[B, K]`.
        x: Images `[B, C, H, W]`.

    Raises:
        ValueError: If the inputs are not images.
    """
    if x.ndim != 4:
        raise ValueError(f"tta: flip mirrors images [B, C, H, W], not inputs {list(x.shape)}; set it to none")
    features, logits = predict(x)
    mirrored_features, mirrored_logits = predict(x.flip(3))
    means = {name: (each + mirrored_features[name]) / 2 for name, each in features.items()}
    return means, (logits + mirrored_logits) / 2
