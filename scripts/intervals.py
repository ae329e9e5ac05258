import statistics
from collections.abc import Sequence

from scipy import stats

CONFIDENCE = 0.95


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Returns Student's 95 % confidence interval of the mean, which takes the values to be normally distributed.

    One value has none.
    """
    n = len(values)
    if n < 2:
        return None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(values) / n**0.5
    return statistics.mean(values) - half, statistics.mean(values) + half
