"""Temperature scaling on plain tensors."""

from typing import NamedTuple

import torch.nn.functional as F
from scipy.optimize import brentq
from torch import Tensor

FEWEST = 50
"""Samples below which no temperature is fitted."""
SMALLEST, LARGEST = 0.01, 100.0
"""Bounds of a temperature; beyond them it is taken to run away."""


class FittedTemperature(NamedTuple):
    """A temperature, and the mean cross-entropy of the samples it was fitted on, before and after."""

    temperature: float
    before: float
    after: float
    samples: int


def fit_temperature(logits: Tensor, target: Tensor) -> FittedTemperature:
    """Fits the temperature T that minimises the cross-entropy of softmax(logits / T) (Guo et al., ICML 2017).

    The cross-entropy is convex in 1 / T, so that its derivative has at most one root, which is found in float64.
    Dividing by T does not change which class is the most likely.

    Args:
        logits: Of samples the model was not trained on, `[N, K]`.
        target: Their classes, int64 `[N]`; negative ones, of unknown classes, are left out.

    Raises:
        ValueError: If there are fewer than 50 samples, a logit is not finite, or there is no best temperature from 0.01
            to 100: all samples are classified correctly, or the logits are no better than chance.
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"fit_temperature: logits {list(logits.shape)} and target {list(target.shape)}; give [N, K] and [N]"
        )
    logits, target = logits.detach().cpu().double(), target.cpu()
    logits, target = logits[target >= 0], target[target >= 0]
    require_enough(len(target))
    if broken := int((~logits.isfinite()).any(dim=1).sum()):
        raise ValueError(f"temperature: the logits of {broken:,} of {len(target):,} calibration samples are not finite")
    own = logits.gather(1, target[:, None]).squeeze(1)
    right = int((logits.argmax(dim=1) == target).sum())

    def slope(inverse: float) -> float:
        """Returns the derivative of the mean cross-entropy with respect to 1 / T."""
        return float(((inverse * logits).softmax(dim=1) * logits).sum(dim=1).sub(own).mean())

    found = f"{right:,} of {len(target):,} calibration samples are classified correctly"
    if slope(1 / SMALLEST) <= 0:
        raise ValueError(
            f"temperature: it falls below {SMALLEST:g}, since {found}: without errors the best confidence is always 1; "
            "calibrate on more samples (data.val_size), or set model.calibrate to none"
        )
    if slope(1 / LARGEST) >= 0:
        raise ValueError(
            f"temperature: it exceeds {LARGEST:g}, since {found}, and the logits say no more about the class than "
            "chance; train a better model, or set model.calibrate to none"
        )
    temperature = 1 / float(brentq(slope, 1 / LARGEST, 1 / SMALLEST, xtol=1e-14, rtol=1e-12))
    before, after = (float(F.cross_entropy(logits / each, target)) for each in (1.0, temperature))
    return FittedTemperature(temperature, before, after, len(target))


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
