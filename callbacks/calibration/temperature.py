"""Temperature scaling on plain tensors."""

from typing import NamedTuple

import torch.nn.functional as F
from scipy.optimize import brentq
from torch import Tensor

from litzoo.callbacks.calibration.checks import known_samples

FEWEST = 50
"""Samples below which no temperature is fitted."""
SMALLEST, LARGEST = 0.01, 100.0
"""Bounds of a temperature; beyond them it is taken to run away."""


class FittedTemperature(NamedTuple):
    """A temperature, perhaps with a bias for each class, and the mean cross-entropy of its samples before and after."""

    temperature: float
    before: float
    after: float
    samples: int
    bias: Tensor | None = None


def fit_temperature(logits: Tensor, target: Tensor) -> FittedTemperature:
    """Fits the temperature T that minimises the cross-entropy of softmax(logits / T) (Guo et al., ICML 2017).

    The cross-entropy is convex in 1 / T, so that its derivative has at most one root, which is found in float64.
    Dividing by T does not change which class is the most likely.

    Args:
        logits: Of samples the model was not trained on, `[N, K]`.
        target: Their classes, int64 `[N]`; negative ones, of unknown classes, are left out.

    Raises:
        ValueError: If shapes or classes do not fit, there are fewer than 50 samples, a logit is not finite, or there is
            no best temperature from 0.01 to 100: all samples are classified correctly, the logits are no better than
            chance, or far too small or large.
    """
    logits, target = calibration_samples("fit_temperature", logits, target)
    own = logits.gather(1, target[:, None]).squeeze(1)

    def slope(inverse: float) -> float:
        """Returns the derivative of the mean cross-entropy with respect to 1 / T."""
        return float(((inverse * logits).softmax(dim=1) * logits).sum(dim=1).sub(own).mean())

    if slope(1 / SMALLEST) <= 0:
        raise ValueError(refusal_of_small(logits, target))
    if slope(1 / LARGEST) >= 0:
        raise ValueError(refusal_of_large(logits, target, slope(0) < 0))
    temperature = 1 / float(brentq(slope, 1 / LARGEST, 1 / SMALLEST, xtol=1e-14, rtol=1e-12))
    before, after = (float(F.cross_entropy(logits / each, target)) for each in (1.0, temperature))
    return FittedTemperature(temperature, before, after, len(target))


def calibration_samples(name: str, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns logits, float64 `[n, K]`, and classes, int64 `[n]`, of the samples of known classes, on the CPU.

    Raises:
        ValueError: If shapes or classes do not fit, there are fewer than 50 samples, a logit is not finite, or all
            logits of each sample are equal.
    """
    logits, target = known_samples(name, logits, target)
    logits = logits.double()
    require_enough(len(target))
    if broken := int((~logits.isfinite()).any(dim=1).sum()):
        raise ValueError(f"temperature: the logits of {broken:,} of {len(target):,} calibration samples are not finite")
    if bool((logits == logits[:, :1]).all()):
        raise ValueError(
            "temperature: each sample has the same logit for all classes, so that no temperature changes the "
            "confidence; train a better model, or set model.calibrate to none"
        )
    return logits, target


def refusal_of_small(logits: Tensor, target: Tensor) -> str:
    """Returns why the best temperature is too small."""
    right, found = _found(logits, target)
    reason = f"since {found}: without errors the best confidence is always 1; calibrate on more samples (data.val_size)"
    if right < len(target):
        reason = f"since the logits are only {_size(logits)}, too small for how many are right ({found}); scale them up"
    return f"temperature: it falls below {SMALLEST:g}, {reason}, or set model.calibrate to none"


def refusal_of_large(logits: Tensor, target: Tensor, is_informative: bool = False) -> str:
    """Returns why the best temperature is too large; informative logits are so by their size only."""
    found = _found(logits, target)[1]
    reason = f"since {found}, and the logits say no more about the class than chance; train a better model"
    if is_informative:
        reason = f"since the logits are {_size(logits)}, too large for how many are right ({found}); scale them down"
    return f"temperature: it exceeds {LARGEST:g}, {reason}, or set model.calibrate to none"


def _found(logits: Tensor, target: Tensor) -> tuple[int, str]:
    own = logits.gather(1, target[:, None]).squeeze(1)
    right = int((own == logits.max(dim=1).values).sum())
    return right, f"{right:,} of {len(target):,} calibration samples are classified correctly"


def _size(logits: Tensor) -> str:
    return f"up to {float(logits.abs().max()):.3g}"


def require_enough(samples: int) -> None:
    """Checks the number of calibration samples.

    Raises:
        ValueError: If there are fewer than 50.
    """
    if samples < FEWEST:
        raise ValueError(
            f"temperature: {samples} calibration samples; at least {FEWEST} are needed, 1,000 are better: raise "
            "data.val_size, or set model.calibrate to none"
        )
