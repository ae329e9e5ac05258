"""Split-conformal calibration of the threshold below which samples are accepted as known."""

from fractions import Fraction
from math import ceil, sqrt

import torch
from lightning.pytorch.utilities import rank_zero_warn
from scipy.stats import betabinom
from torch import Tensor

from litzoo.callbacks.calibration.conformal import coverage_range, exact_ceil
from litzoo.datamodules.counted import counted

SPREAD = 0.1
"""Standard deviation of the accepted fraction, over calibration sets of one size, above which it is warned of."""
RARE = 0.005
"""Probability of accepting as few known test samples by chance, below which a test says that they differ."""


def acceptance_threshold(known_scores: Tensor, acceptance: float) -> float:
    """Returns the threshold that accepts a given fraction of known samples (split conformal, Papadopoulos et al. 2002).

    It is the ⌈(n + 1) · acceptance⌉-th smallest of n calibration scores. A new known sample, exchangeable with the
    calibration samples, scores at or below it with a probability of at least `acceptance` and, if there are no ties,
    less than `acceptance` + 1 / (n + 1).

    Args:
        known_scores: Scores of known samples that neither model nor score was fitted on, `[n]`.
        acceptance: The fraction, in (0, 1).

    Raises:
        ValueError: If the acceptance is outside (0, 1), there are too few scores for it, or a score is NaN.
    """
    if not 0 < acceptance < 1:
        raise ValueError(f"acceptance: {acceptance} is outside (0, 1)")
    if known_scores.ndim != 1 or bool(known_scores.isnan().any()):
        raise ValueError(
            f"known_scores: shape {list(known_scores.shape)} with {int(known_scores.isnan().sum())} NaN; give one "
            "number per calibration sample, [n]"
        )
    count = len(known_scores)
    if (rank := exact_ceil(acceptance, count + 1)) > count:
        fraction = Fraction(str(acceptance))
        raise ValueError(
            f"acceptance: {acceptance} cannot be guaranteed with {count} calibration samples; it needs "
            f"{ceil(fraction / (1 - fraction))}: calibrate on more samples, or lower the acceptance"
        )
    return float(known_scores.sort().values[rank - 1])


def require_samples(name: str, count: int, acceptance: float) -> None:
    """Checks before a training that a threshold can be calibrated on a number of samples; warns if they are few.

    The fraction that a threshold of n samples really accepts follows the distribution Beta(k, n + 1 - k), where k is
    the rank of the threshold (Vovk 2012).

    Args:
        name: The callback, for messages.
        count: Number of the calibration samples.
        acceptance: The fraction of known samples to accept.

    Raises:
        ValueError: If there are too few for the acceptance.
    """
    acceptance_threshold(torch.zeros(count), acceptance)
    mean = exact_ceil(acceptance, count + 1) / (count + 1)
    if (spread := sqrt(mean * (1 - mean) / (count + 2))) > SPREAD:
        rank_zero_warn(
            f"{name}.acceptance: {acceptance} is calibrated on {count} validation samples only, so that the threshold "
            f"accepts {mean:.0%} ± {spread:.0%} of the known samples (mean and standard deviation over such sets); "
            "raise data.val_size"
        )


def acceptance_remark(count: int, acceptance: float, accepted: int, tested: int) -> str:
    """Returns what a test says of the fraction of known samples that a calibrated threshold accepts.

    Of samples exchangeable with the calibration samples, it accepts a number with a beta-binomial distribution. Fewer
    than that explains show that the test samples are others. More do not: equal scores are all accepted.

    Args:
        count: Number of the calibration samples.
        acceptance: The fraction to accept.
        accepted: Number of known test samples that are accepted.
        tested: Number of all known test samples.
    """
    low, high = coverage_range(count, acceptance)
    rank = exact_ceil(acceptance, count + 1)
    text = (
        f"The threshold accepts known samples with a probability of at least {acceptance:.4g} on average over "
        f"calibrations; with {counted(count, 'calibration sample')}, {low:.3f} to {high:.3f} in 9 of 10. "
        f"Of {counted(tested, 'known test sample')} it accepts {accepted / tested:.3f}"
    )
    if betabinom(tested, rank, count + 1 - rank).cdf(accepted) < RARE:
        text += (
            ", fewer than chance explains: they differ from the validation samples, or the model was fitted to these. "
            "Expect known samples to be called unknown more often than asked"
        )
    return f"{text}."


def accepted_fraction(scores: Tensor, acceptance: float, threshold: float | None = None) -> float | None:
    """Returns the fraction of known samples that a threshold accepts.

    Args:
        scores: Scores of known samples, `[n]`.
        acceptance: Without a fixed threshold, one is calibrated for this fraction on every second sample and evaluated
            on the others.
        threshold: A fixed threshold, evaluated on all samples.

    Returns:
        The fraction, or None if there are too few samples.
    """
    if threshold is None:
        calibration, scores = scores[::2], scores[1::2]
        try:
            threshold = acceptance_threshold(calibration, acceptance)
        except ValueError:
            return None
    return float((scores <= threshold).double().mean()) if len(scores) else None
