"""The calibration sample on which a fitted temperature depends most."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from litzoo.callbacks.calibration.temperature import FittedTemperature

FACTOR = 1.5
"""A temperature that one sample changes by less is not named."""


class Outlier(NamedTuple):
    """A calibration sample that changes the temperature by more than `FACTOR`.

    Attributes:
        position: Which sample, of those given.
        predicted: Its most likely class.
        confidence: The probability of that class before the calibration.
        without: The temperature without the sample; `None` if there is none, as where all others are right.
    """

    position: int
    predicted: int
    confidence: float
    without: float | None


def find_outlier(
    fit: Callable[[Tensor, Tensor], FittedTemperature], logits: Tensor, target: Tensor, temperature: float
) -> Outlier | None:
    """Returns the sample that raises the temperature most, if it does so by more than `FACTOR`.

    A network that is very sure of all its answers pays for a wrong one in proportion to its logits. Among few samples
    a single wrong label can thus make all probabilities much smaller than the fraction that is right.

    Args:
        fit: `fit_temperature` or `fit_temperature_and_bias`.
        logits: Of the samples it was fitted on, `[N, K]`.
        target: Their classes, int64 `[N]`; negative ones, of unknown classes, are left out.
        temperature: What was fitted.
    """
    known = torch.nonzero(target >= 0).squeeze(1)
    scores, own = logits[known].double(), target[known]
    # How much each sample pulls at 1 / T where the sum of all is 0.
    pull = ((scores / temperature).softmax(dim=1) * scores).sum(dim=1) - scores.gather(1, own[:, None]).squeeze(1)
    worst = int(pull.argmax())
    kept = torch.arange(len(own)) != worst
    try:
        without = fit(scores[kept], own[kept]).temperature
    except ValueError:  # no best temperature, or one sample too few
        if int(kept.sum()) and bool((scores[kept].argmax(dim=1) != own[kept]).any()):
            return None
        without = None
    if without is not None and temperature < FACTOR * without:
        return None
    probabilities = scores[worst].softmax(dim=0)
    predicted = int(probabilities.argmax())
    return Outlier(int(known[worst]), predicted, float(probabilities[predicted]), without)
