"""Temperature scaling with a bias for each class, on plain tensors."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor

from litzoo.callbacks.calibration.temperature import (
    LARGEST,
    SMALLEST,
    FittedTemperature,
    calibration_samples,
    refusal_of_large,
    refusal_of_small,
)

PENALTY = 1.0
"""By a bias of b, the expected number of calibration samples of a class differs from the true one by this times b."""
FEW = 20
"""Calibration samples of a class below which its bias is uncertain by more than a fifth of its odds."""


def fit_temperature_and_bias(logits: Tensor, target: Tensor) -> FittedTemperature:
    """Fits T and a bias b for each class that minimise the cross-entropy of softmax(logits / T + b).

    That is bias-corrected temperature scaling (Alexandari et al., ICML 2020). The bias repairs what class weights,
    balanced sampling or a loss for imbalance shift: with weights w the logits of cross-entropy become too large by
    log w. The cross-entropy is convex in 1 / T and b. The penalty `PENALTY / 2` · |b|², of all samples together, makes
    the bias unique, with a mean of 0, and holds it back where a class has few samples or none.

    Args:
        logits: Of samples the model was not trained on, `[N, K]`.
        target: Their classes, int64 `[N]`; negative ones, of unknown classes, are left out.

    Raises:
        ValueError: As by `fit_temperature`.
    """
    logits, target = calibration_samples("fit_temperature_and_bias", logits, target)
    samples, classes = logits.shape
    centred = logits - logits.mean(dim=1, keepdim=True)  # the same probabilities
    # Of about equal curvature in all directions: L-BFGS needs a fraction of the steps.
    unit = float(centred.square().mean().sqrt())
    fractions = torch.bincount(target, minlength=classes).double() / samples
    steps = 1 / (fractions + PENALTY / samples).sqrt()
    scores = centred / unit

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns the penalised mean cross-entropy for the scaled 1 / T and b, and its gradient."""
        inverse, bias = float(values[0]), torch.from_numpy(values[1:]) * steps
        logarithms = torch.add(bias, scores, alpha=inverse).log_softmax(dim=1)
        value = F.nll_loss(logarithms, target) + PENALTY / samples / 2 * bias @ bias
        slope = logarithms.exp_()
        slope[torch.arange(samples), target] -= 1
        of_bias = slope.mean(dim=0) + PENALTY / samples * bias
        of_inverse = (slope * scores).sum() / samples
        return float(value), torch.cat([of_inverse[None], of_bias * steps]).numpy()

    limits = [(unit / LARGEST, unit / SMALLEST), *[(None, None)] * classes]
    first = np.append(np.clip(unit, *limits[0]), np.zeros(classes))
    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 1e-13, "gtol": 1e-8}
    found = minimize(loss, first, jac=True, bounds=limits, options=options)
    temperature, bias = unit / float(found.x[0]), torch.from_numpy(found.x[1:]) * steps
    if temperature <= SMALLEST * 1.001:
        raise ValueError(refusal_of_small(logits, target))
    if temperature >= LARGEST / 1.001:
        raise ValueError(refusal_of_large(logits, target))
    before, after = (float(F.cross_entropy(each, target)) for each in (logits, logits / temperature + bias))
    return FittedTemperature(temperature, before, after, samples, bias)
