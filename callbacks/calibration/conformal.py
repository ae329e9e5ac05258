"""Split conformal prediction on plain tensors: what sets of classes and intervals of numbers have in common.

Vovk, Gammerman and Shafer 2005; Papadopoulos et al. 2002. For introductions, Angelopoulos and Bates 2023.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Any

import torch
from scipy.stats import beta
from torch import Tensor

from litzoo.callbacks.calibration.checks import require_coverage


class Conformal(ABC):
    """Base class: nonconformity scores of calibration samples, from which sets or intervals are computed.

    Args:
        coverage: Probability that the set or interval contains the truth, in (0, 1).

    Raises:
        TypeError: If the coverage is not a number.
        ValueError: If it is outside (0, 1).

    Attributes:
        scores: Scores of the calibration samples, float64 `[n]`; None before `fit`.
    """

    def __init__(self, coverage: float = 0.9) -> None:
        require_coverage(self.names[0], coverage)
        self.coverage = coverage
        self.scores: Tensor | None = None

    names: tuple[str, str] = ("Conformal", "sets")
    """How messages call the callback and what it predicts."""
    reads: tuple[str, ...] = ("logits",)
    """Keys of a module's outputs that `fit`, `evaluate` and `predict` take; the target comes after the first."""

    @abstractmethod
    def fit(self, output: Tensor, target: Tensor) -> "Conformal":
        """Stores the scores of calibration samples; returns itself.

        Args:
            output: The model's output, `[n, ...]`.
            target: The truth, `[n]`.

        Raises:
            ValueError: If the shapes do not fit, there are too few samples for the coverage, or an output is not
                finite.
        """

    @abstractmethod
    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Returns coverage and mean size on test samples, by name of the metric."""

    @abstractmethod
    def predict(self, output: Tensor) -> dict[str, Tensor]:
        """Returns what is predicted for samples, by name, each `[N, ...]`."""

    def groups(self) -> dict[str, int]:
        """Returns the number of calibration samples of each group that is calibrated on its own."""
        return {"": 0 if self.scores is None else len(self.scores)}

    def require_promise(self) -> None:
        """Checks that the coverage, which may have been changed, can be promised with the calibration samples.

        Raises:
            ValueError: If not; the message says what can be promised.
        """
        require_enough(self.groups(), self)

    def promise(self) -> str:
        """Returns a sentence on how far the coverage of one calibration may be from what was asked."""
        group, count = min(self.groups().items(), key=lambda each: each[1])
        low, high = coverage_range(count, self.coverage)
        of = f" of {group!r}, the smallest class" if group else ""
        return (
            f"{self.names[1]} contain the truth with a probability of at least {self.coverage:.4g} on average over "
            f"calibrations; with {count:,} calibration samples{of}, {low:.3f} to {high:.3f} in 9 of 10"
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns scores and options as plain values; an empty dict before `fit`."""
        return {} if self.scores is None else {"kind": type(self).__name__, "scores": self.scores, **self.options()}

    def options(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"coverage": self.coverage}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the scores, or resets them if the state is empty or of other options.

        The coverage may differ: the state has the scores, not only a threshold.
        """
        same = all(state.get(name) == value for name, value in self.options().items() if name != "coverage")
        self.scores = state["scores"] if state.get("kind") == type(self).__name__ and same else None


def conformal_quantile(scores: Tensor, coverage: float) -> Tensor:
    """Returns the ⌈(n + 1) · coverage⌉-th smallest of n scores `[n]`; infinity if n is too small.

    The score of a new sample, exchangeable with these, is at or below it with a probability of at least `coverage` and,
    if there are no ties, less than `coverage` + 1 / (n + 1).
    """
    rank = exact_ceil(coverage, len(scores) + 1)
    return scores.sort().values[rank - 1] if rank <= len(scores) else scores.new_tensor(torch.inf)


def coverage_range(count: int, coverage: float, probability: float = 0.9) -> tuple[float, float]:
    """Returns the range in which the coverage lies that one calibration reaches on new samples.

    It is distributed as Beta(k, n + 1 − k), k being ⌈(n + 1) · coverage⌉ (Vovk 2012), if there are no ties.

    Args:
        count: Number n of calibration samples, enough for the coverage.
        coverage: What was asked.
        probability: Of the range, with equal tails.
    """
    rank = exact_ceil(coverage, count + 1)
    low, high = beta.interval(probability, rank, count + 1 - rank)
    return float(low), float(high)


def exact_ceil(fraction: float, count: int) -> int:
    """Returns ⌈fraction · count⌉ for the decimal notation of a fraction: in floating point, 0.07 · 100 exceeds 7."""
    return ceil(Fraction(str(fraction)) * count)


def require_enough(counts: Mapping[str, int], rule: Conformal) -> None:
    """Raises a ValueError if a group has too few samples for the coverage; it says what can be promised."""
    name, coverage = rule.names[0], rule.coverage
    short = {group: count for group, count in counts.items() if exact_ceil(coverage, count + 1) > count}
    if not short:
        return
    fraction = Fraction(str(coverage))
    needed = ceil(fraction / (1 - fraction))
    found = [
        f"{count} calibration samples{f' of class {group}' if group else ''} promise at most {count / (count + 1):.3f}"
        for group, count in list(short.items())[:3]
    ]
    more = f", and {len(short) - 3} more classes are too small" if len(short) > 3 else ""
    instead = ", or leave per_class out" if next(iter(short)) else ""
    raise ValueError(
        f"{name}.coverage: {coverage:.4g} needs {needed} calibration samples{' of each class' if instead else ''}, but "
        f"{'; '.join(found)}{more}: raise data.val_size, lower the coverage{instead}"
    )
