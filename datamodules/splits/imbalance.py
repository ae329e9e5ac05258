from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from litzoo.datamodules.splits.core import positions_of, rounded_fractions


class Imbalance(ABC):
    """How many training samples each class keeps, made imbalanced on purpose."""

    @abstractmethod
    def counts(self, available: np.ndarray, names: Sequence[str], head: int | None, total: int | None) -> np.ndarray:
        """Returns how many samples each class gets, int64 `[K]`.

        Args:
            available: How many there are of each class `[K]`.
            names: Of the classes.
            head: Samples of the largest class; the most that the classes can provide when left out.
            total: Samples of all classes together instead.
        """


class LongTailed(Imbalance):
    """Class sizes that fall off exponentially: n_i = n_max · factor^(−i / (C − 1)), i the position of the class.

    Used for CIFAR-LT by Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples". The first class
    is the largest; another order comes from listing all classes in `known_classes`.

    Args:
        factor: Size of the first class against the last one, at least 1.

    Raises:
        ValueError: If the factor is below 1.
    """

    def __init__(self, factor: float) -> None:
        self.factor = _checked("LongTailed", factor)

    def counts(self, available: np.ndarray, names: Sequence[str], head: int | None, total: int | None) -> np.ndarray:
        """Returns `n_max · (1, ..., 1 / factor)`."""
        shape = self.factor ** (-np.arange(len(available)) / max(len(available) - 1, 1))
        return _sized(shape, available, head, total)


class StepImbalance(Imbalance):
    """Two sizes of classes: the last ones have `1 / factor` of what the first ones have (Buda et al. 2018).

    Args:
        factor: Size of a large class against a small one, at least 1.
        minority: Fraction of the classes that are small, in (0, 1); rounded to whole classes.

    Raises:
        ValueError: If the factor is below 1, or the fraction outside (0, 1).
    """

    def __init__(self, factor: float, minority: float = 0.5) -> None:
        self.factor = _checked("StepImbalance", factor)
        if not 0 < minority < 1:
            raise ValueError(
                f"StepImbalance.minority: {minority} is no fraction of the classes; give one between 0 and 1"
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
                f"StepImbalance.minority: a fraction of {self.minority} of {len(available)} classes is {small} of them; "
                "it needs some small and some large ones"
            )
        return _sized(np.repeat([1, 1 / self.factor], [len(available) - small, small]), available, head, total)


class ClassCounts(Imbalance):
    """Class sizes as listed.

    Args:
        sizes: One number for each class, in the order of the targets; or name -> number for some classes, and the
            others keep all they have.

    Raises:
        ValueError: If a number is below 1.
    """

    def __init__(self, sizes: list[int] | dict[str | int, int]) -> None:
        if not sizes:
            raise ValueError("ClassCounts.sizes: is empty; give a number for each class, or for some by name")
        if any(size < 1 for size in (sizes.values() if isinstance(sizes, dict) else sizes)):
            raise ValueError(f"ClassCounts.sizes: {sizes} leaves a class with no training sample; give at least 1")
        self.sizes = sizes

    def counts(self, available: np.ndarray, names: Sequence[str], head: int | None, total: int | None) -> np.ndarray:
        """Returns the counts as listed.

        Raises:
            ValueError: If they do not fit the classes, or another size is asked too.
        """
        if head is not None or total is not None:
            raise ValueError(
                f"train_size asks for {f'{head} a class' if total is None else total} and imbalance for explicit class "
                "counts: leave one of them out"
            )
        if isinstance(self.sizes, dict):
            counts = available.astype(object)  # a number too large for the class has to get as far as the message
            counts[positions_of("imbalance", self.sizes, names)] = list(self.sizes.values())
            return counts
        if len(self.sizes) != len(available):
            raise ValueError(
                f"imbalance: {len(self.sizes)} class counts for the {len(available)} classes {list(names)}"
            )
        return np.array(self.sizes)


def _sized(shape: np.ndarray, available: np.ndarray, head: int | None, total: int | None) -> np.ndarray:
    """Gives proportions, of which the largest is 1, a size."""
    if total is not None:
        return rounded_fractions(shape / shape.sum() * total, total)
    largest = int((available / shape).min() + 1e-9) if head is None else head
    # Rounded to nine digits first: powers differ in the last one between machines.
    return np.floor(np.round(largest * shape, 9) + 0.5).astype(np.int64)


def _checked(owner: str, factor: float) -> float:
    if not 1 <= factor < float("inf"):
        raise ValueError(f"{owner}.factor: {factor} is below 1 or not finite; 1 is balanced, 100 is usual")
    return factor
