"""Checks of the tensors and fractions that calibration is given."""

from numbers import Real

import torch
from torch import Tensor


def require_coverage(name: str, coverage: float) -> None:
    """Checks the argument `coverage`.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is outside (0, 1).
    """
    if not isinstance(coverage, Real) or isinstance(coverage, bool):
        raise TypeError(f"{name}.coverage: {coverage!r} is a {type(coverage).__name__}; give a number such as 0.9")
    if not 0 < coverage < 1:
        raise ValueError(f"{name}.coverage: {coverage} is outside (0, 1); 0.9 is usual")


def known_samples(name: str, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns logits `[n, K]` and classes, int64 `[n]`, of the samples of known classes, on the CPU.

    Raises:
        ValueError: If the shapes do not fit, or a target is no class from 0 to K - 1 (negative ones are unknown).
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(f"{name}: logits {list(logits.shape)} and target {list(target.shape)}; give [N, K] and [N]")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ValueError(f"{name}: target is of {target.dtype}; give the number of each class, such as torch.int64")
    logits, target = logits.detach().cpu(), target.detach().cpu().long()
    logits, target = logits[target >= 0], target[target >= 0]
    if len(target) and (largest := int(target.max())) >= logits.shape[1]:
        raise ValueError(
            f"{name}: target has the class {largest}, but the logits are of {logits.shape[1]} classes; give classes "
            f"from 0 to {logits.shape[1] - 1}, and -1 for unknown ones"
        )
    return logits, target


def require_numbers(name: str, output: Tensor, target: Tensor | None = None) -> None:
    """Checks the shapes of predicted numbers and, if given, of the true ones.

    Raises:
        ValueError: If they are not both `[N]`: others would be broadcast.
    """
    if output.ndim == 1 and (target is None or target.shape == output.shape):
        return
    hint = ": use prediction.squeeze(1)" if output.ndim == 2 and output.shape[1] == 1 else ""
    if target is None:
        raise ValueError(f"{name}: predictions {list(output.shape)}; give [N]{hint}")
    raise ValueError(
        f"{name}: predictions {list(output.shape)} and target {list(target.shape)}; give [N] and [N]{hint}"
    )
