"""Temperature scaling, and with a bias for each class, on plain tensors."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import brentq, minimize
from torch import Tensor

from litzoo.callbacks.calibration.checks import known_samples

FEWEST = 50
"""Samples below which no temperature is fitted."""
SMALLEST, LARGEST = 0.01, 100.0
"""Bounds of a temperature; beyond them it is taken to run away."""
PENALTY = 0.1
"""Of a bias of 1, as the cross-entropy of this many samples: the bias of a class without samples is finite with it."""


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
    logits, target = known_samples("fit_temperature", logits, target)
    logits = logits.double()
    require_enough(len(target))
    if broken := int((~logits.isfinite()).any(dim=1).sum()):
        raise ValueError(f"temperature: the logits of {broken:,} of {len(target):,} calibration samples are not finite")
    own = logits.gather(1, target[:, None]).squeeze(1)
    largest = logits.max(dim=1).values
    right = int((own == largest).sum())
    size = f"up to {float(logits.abs().max()):.3g}"

    def slope(inverse: float) -> float:
        """Returns the derivative of the mean cross-entropy with respect to 1 / T."""
        return float(((inverse * logits).softmax(dim=1) * logits).sum(dim=1).sub(own).mean())

    found = f"{right:,} of {len(target):,} calibration samples are classified correctly"
    if bool((logits == largest[:, None]).all()):
        raise ValueError(
            "temperature: each sample has the same logit for all classes, so that no temperature changes the "
            "confidence; train a better model, or set model.calibrate to none"
        )
    if slope(1 / SMALLEST) <= 0:
        reason = (
            f"since {found}: without errors the best confidence is always 1; calibrate on more samples (data.val_size)"
        )
        if right < len(target):
            reason = f"since the logits are only {size}, too small for how many are right ({found}); scale them up"
        raise ValueError(f"temperature: it falls below {SMALLEST:g}, {reason}, or set model.calibrate to none")
    if slope(1 / LARGEST) >= 0:
        reason = f"since {found}, and the logits say no more about the class than chance; train a better model"
        if slope(0) < 0:
            reason = f"since the logits are {size}, too large for how many are right ({found}); scale them down"
        raise ValueError(f"temperature: it exceeds {LARGEST:g}, {reason}, or set model.calibrate to none")
    temperature = 1 / float(brentq(slope, 1 / LARGEST, 1 / SMALLEST, xtol=1e-14, rtol=1e-12))
    before, after = (float(F.cross_entropy(logits / each, target)) for each in (1.0, temperature))
    return FittedTemperature(temperature, before, after, len(target))


def fit_temperature_and_bias(logits: Tensor, target: Tensor) -> FittedTemperature:
    """Fits T and a bias b for each class that minimise the cross-entropy of softmax(logits / T + b).

    That is bias-corrected temperature scaling (Alexandari et al., ICML 2020). The bias repairs what class weights,
    balanced sampling or a loss for imbalance shift: with weights w the logits of cross-entropy become too large by
    log w. The cross-entropy is convex in 1 / T and b. The penalty `PENALTY / 2` · |b|², of all samples together, makes
    the bias unique; its mean is 0.

    Args:
        logits: Of samples the model was not trained on, `[N, K]`.
        target: Their classes, int64 `[N]`; negative ones, of unknown classes, are left out.

    Raises:
        ValueError: As by `fit_temperature`.
    """
    start = fit_temperature(logits, target)
    logits, target = known_samples("fit_temperature_and_bias", logits, target)
    logits = logits.double()
    scores, classes, samples = logits.numpy(), target.numpy(), len(target)
    taken = np.zeros_like(scores)
    taken[np.arange(samples), classes] = 1

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns the penalised mean cross-entropy for 1 / T and b, and its gradient."""
        inverse, bias = values[0], values[1:]
        log_probabilities = torch.from_numpy(inverse * scores + bias).log_softmax(dim=1).numpy()
        slope = np.exp(log_probabilities) - taken
        penalty = PENALTY / samples
        value = -log_probabilities[np.arange(samples), classes].mean() + penalty / 2 * bias @ bias
        return value, np.append((slope * scores).sum(axis=1).mean(), slope.mean(axis=0) + penalty * bias)

    first = np.append(1 / start.temperature, np.zeros(scores.shape[1]))
    bounds = [(1 / LARGEST, 1 / SMALLEST), *[(None, None)] * scores.shape[1]]
    found = minimize(loss, first, jac=True, bounds=bounds, options={"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-10})
    temperature, bias = 1 / float(found.x[0]), torch.from_numpy(found.x[1:])
    after = float(F.cross_entropy(logits / temperature + bias, target))
    return FittedTemperature(temperature, start.before, after, samples, bias)


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
