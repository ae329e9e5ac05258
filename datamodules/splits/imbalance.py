"""Class imbalance: the number of training samples that each class keeps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from litzoo.datamodules.splits.core import ClassName, positions_of, round_to_total


class Imbalance(ABC):
    """Makes the training set imbalanced by choosing the number of samples of each class."""

    @abstractmethod
    def counts(self, available: np.ndarray, names: Sequence[str], head: int | None, total: int | None) -> np.ndarray:
        """Returns the number of samples of each class, int64 `[K]`.

        Args:
            available: Number of available samples of each class `[K]`.
            names: Names of the classes.
            head: Size of the largest class; `None` for the largest possible.
            total: Number of samples of all classes together, as an alternative to `head`.
        """


class LongTailed(Imbalance):
    """Exponentially decreasing class sizes: n_i = n_max · factor^(−i / (C − 1)) for the class at position i.

    Used for CIFAR-LT by Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples". The first class
    is the largest; for another order list the classes in `known_classes`.

    Args:
        factor: Ratio of the sizes of the first and the last class, at least 1.
        round_down: Whether sizes are rounded down, as in the code of that benchmark, instead of to the nearest number.

    Raises:
        ValueError: If the factor is below 1.
    """

    def __init__(self, factor: float, round_down: bool = False) -> None:
        self.factor, self.round_down = _checked_factor("LongTailed", factor), round_down

    def counts(self, available: np.ndarray, names: Sequence[str], head: int | None, total: int | None) -> np.ndarray:
        """Returns `n_max · (1, ..., 1 / factor)`."""
        shape = self.factor ** (-np.arange(len(available)) / max(len(available) - 1, 1))
        return _scaled(shape, available, head, total, 0.0 if self.round_down else 0.5)


class StepImbalance(Imbalance):
    """Two class sizes: the last classes have `1 / factor` times the samples of the first ones (Buda et al. 2018).

    Args:
        factor: Ratio of the sizes of a large and a small class, at least 1.
        minority: Fraction of the classes that are small, in (0, 1), rounded to whole classes.

    Raises:
        ValueError: If the factor is below 1, or the fraction outside (0, 1).
    """

    def __init__(self, factor: float, minority: float = 0.5) -> None:
        self.factor = _checked_factor("StepImbalance", factor)
        if not 0 < minority < 1:
            raise ValueError(
                f"StepImbalance.minority: {minority} is not a fraction of the classes; give one between 0 and 1"
            )
        self.minority = minority

    def counts(self, available: np.ndarray, names: Sequence[str], head: int | None, total: int | None) -> np.ndarray:
        """Returns `n_max · (1, ..., 1, 1 / factor, ..., 1 / factor)`.

        Raises:
            ValueError: If no class is small, or all are.
        """
        small = round(self.minority * len(available))
        if not 0 < small < len(available):
            raise ValueError(
                f"StepImbalance.minority: a fraction of {self.minority} of {len(available)} classes is {small} "
                "classes; at least one class must be small and one large"
            )
        return _scaled(np.repeat([1, 1 / self.factor], [len(available) - small, small]), available, head, total)


class ClassCounts(Imbalance):
    """Explicit class sizes.

    Args:
        sizes: A number for each class, in the order of the targets; or name -> number for some classes, while the
            others keep all their samples.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(self, sizes: list[int] | dict[ClassName, int]) -> None:
        if not sizes:
            raise ValueError("ClassCounts.sizes: is empty; give a number for each class, or for some classes by name")
        if any(size < 1 for size in (sizes.values() if isinstance(sizes, dict) else sizes)):
            raise ValueError(f"ClassCounts.sizes: {sizes} leaves a class with no training sample; give at least 1")
        self.sizes = sizes

    def counts(self, available: np.ndarray, names: Sequence[str], head: int | None, total: int | None) -> np.ndarray:
        """Returns the listed counts.

        Raises:
            ValueError: If they do not fit the classes, or `head` or `total` is given too.
        """
        if head is not None or total is not None:
            raise ValueError(
                f"train_size is {f'{head} a class' if total is None else total} and imbalance gives explicit class "
                "counts: leave out one of them"
            )
        if isinstance(self.sizes, dict):
            counts = available.astype(object)  # a huge count may not fit int64; the caller refuses it
            counts[positions_of("imbalance", self.sizes, names)] = list(self.sizes.values())
            return counts
        if len(self.sizes) != len(available):
            raise ValueError(
                f"imbalance: {len(self.sizes)} class counts for the {len(available)} classes {list(names)}"
            )
        return np.array(self.sizes)


def _scaled(
    shape: np.ndarray, available: np.ndarray, head: int | None, total: int | None, rounded_up_from: float = 0.5
) -> np.ndarray:
    """Scales relative class sizes, the largest of which is 1, to counts; a total is always met exactly."""
    if total is not None:
        return round_to_total(shape / shape.sum() * total, total)
    largest = int((available / shape).min() + 1e-9) if head is None else head
    # Rounded to nine digits first, since the last digit of a power differs between machines.
    return np.floor(np.round(largest * shape, 9) + rounded_up_from).astype(np.int64)


def _checked_factor(owner: str, factor: float) -> float:
    if not 1 <= factor < float("inf"):
        raise ValueError(f"{owner}.factor: {factor} is below 1 or not finite; 1 is balanced, 100 is usual")
    return factor
