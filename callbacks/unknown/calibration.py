from fractions import Fraction
from math import ceil

from torch import Tensor


def acceptance_threshold(scores_of_knowns: Tensor, acceptance: float) -> float:
    """Finds the threshold that accepts a wanted fraction of known samples (split-conformal, Papadopoulos et al. 2002).

    Of n calibration scores it is the ⌈(n + 1) · acceptance⌉-th smallest. A further known sample, exchangeable with
    these, has a score at or below it with a probability of at least `acceptance`, and where no scores are equal of less
    than `acceptance` + 1 / (n + 1).

    Args:
        scores_of_knowns: Of samples that neither model nor score was fitted on, `[n]`.
        acceptance: The fraction, in (0, 1).

    Raises:
        ValueError: If the acceptance is outside (0, 1), there are too few scores for it, or one of them is NaN.
    """
    if not 0 < acceptance < 1:
        raise ValueError(f"acceptance: {acceptance} is outside (0, 1)")
    if scores_of_knowns.ndim != 1 or bool(scores_of_knowns.isnan().any()):
        raise ValueError(
            f"scores_of_knowns: {list(scores_of_knowns.shape)} with {int(scores_of_knowns.isnan().sum())} NaN; one "
            "number a calibration sample is needed, [n]"
        )
    count = len(scores_of_knowns)
    if (rank := rank_of(acceptance, count + 1)) > count:
        fraction = Fraction(str(acceptance))
        raise ValueError(
            f"acceptance: {acceptance} cannot be promised from {count} calibration samples; it needs "
            f"{ceil(fraction / (1 - fraction))}: calibrate on more samples, or ask for less"
        )
    return float(scores_of_knowns.sort().values[rank - 1])


def rank_of(fraction: float, count: int) -> int:
    """Returns ⌈fraction · count⌉ of the fraction as it is written: as floats, 0.07 · 100 is more than 7."""
    return ceil(Fraction(str(fraction)) * count)


def accepted_fraction(scores: Tensor, acceptance: float, threshold: float | None = None) -> float | None:
    """Returns the fraction of known samples accepted: by a fixed threshold, else by one from every second sample.

    Nothing is returned where these are too few.
    """
    if threshold is None:
        calibration, scores = scores[::2], scores[1::2]
        try:
            threshold = acceptance_threshold(calibration, acceptance)
        except ValueError:
            return None
    return float((scores <= threshold).double().mean()) if len(scores) else None
