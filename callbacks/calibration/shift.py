"""Classes whose probability is on average another than their fraction of the samples."""

from collections.abc import Sequence

import torch
from scipy.stats import norm, poisson
from torch import Tensor

from litzoo.callbacks.calibration.checks import known_samples
from litzoo.datamodules.counted import counted

CHANCE, FACTOR = 0.01, 1.25
"""Not named: differences that right probabilities exceed more often than this, over all classes; and small factors."""
_NAMED = 3


def shifted_classes(probabilities: Tensor, target: Tensor, class_names: Sequence[str] = ()) -> str | None:
    """Says which classes have on average another probability than their fraction of the samples.

    If the probabilities are right, the number of samples of a class has the variance Σ p (1 - p), and less probable
    tails than normal where few are expected: at most those of a Poisson distribution.

    Args:
        probabilities: `[N, K]`.
        target: The classes, int64 `[N]`; negative ones, of unknown classes, are left out.
        class_names: K names; their numbers by default.
    """
    probabilities, target = known_samples("shifted_classes", probabilities.double(), target)
    if not len(target):
        return None
    mean = probabilities.mean(dim=0)
    fraction = torch.bincount(target, minlength=len(mean)) / len(target)
    error = (probabilities * (1 - probabilities)).sum(dim=0).sqrt() / len(target)
    larger, smaller = torch.maximum(mean, fraction), torch.minimum(mean, fraction)
    level = CHANCE / 2 / len(mean)
    shifted = ((mean - fraction).abs() > float(norm.isf(level)) * error) & (larger > FACTOR * smaller)
    shifted &= _exceeds_poisson(len(target) * mean, len(target) * fraction, len(target), level)
    if not shifted.any():
        return None
    factors = (larger / smaller.clamp(min=1e-12)).where(shifted, torch.zeros(()).double())
    worst = factors.argsort(descending=True)[: min(_NAMED, int(shifted.sum()))].tolist()
    names = class_names or [str(number) for number in range(len(mean))]
    named = [
        f"class {names[each]} has {100 * float(mean[each]):.3g} % on average, but {100 * float(fraction[each]):.3g} % "
        f"of {counted(len(target), 'calibration sample', 'calibration samples')} are of it"
        for each in worst
    ]
    more = int(shifted.sum()) - len(worst)
    return "; ".join(named) + (f"; and {counted(more, 'other class', 'other classes')}" if more else "")


def _exceeds_poisson(expected: Tensor, counts: Tensor, samples: int, level: float) -> Tensor:
    """Returns for which classes a count is also too improbable by the Poisson distribution, of the rarer side."""
    many = expected > samples / 2
    expected, counts = expected.where(~many, samples - expected), counts.where(~many, samples - counts)
    below, above = poisson.cdf(counts.round(), expected), poisson.sf(counts.round() - 1, expected)
    return torch.from_numpy((below < level) | (above < level))
