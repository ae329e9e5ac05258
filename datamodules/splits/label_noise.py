"""Label noise: which labels of a training set are replaced by wrong ones."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.splits.core import ClassName, position_of, positions_of, round_to_total

Flips = Mapping[ClassName, ClassName]


class LabelNoise(ABC):
    """Replaces labels by wrong ones at given rates.

    The numbers of wrong labels are exact: `corrupt` gives each pair of true class and label its fraction within one
    sample.
    """

    @abstractmethod
    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns the fraction of each true class (row) that gets each label (column), float64 `[K, K]`.

        Args:
            names: Names of the K classes.
            lookalikes: The data set's pairs of similar classes: true class -> wrong label.
        """


class SymmetricNoise(LabelNoise):
    """Replaces labels by random ones, with the same probability for all classes.

    Args:
        rate: Fraction of the samples whose label is replaced.
        keeps_some: Whether the new label may be the true one. `False`: it is another class, so that exactly `rate` of
            the labels are wrong. `True`: it is drawn from all K classes, so that `rate` · (K − 1) / K are wrong.

    Raises:
        ValueError: If the rate is outside [0, 1].
    """

    def __init__(self, rate: float, keeps_some: bool = False) -> None:
        self.rate = _checked_rate("SymmetricNoise", rate)
        self.keeps_some = keeps_some

    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns a matrix with equal entries off the diagonal."""
        classes = len(names)
        other = self.rate / (classes if self.keeps_some else classes - 1)
        return np.full((classes, classes), other) + np.eye(classes) * (1 - other * classes)


class AsymmetricNoise(LabelNoise):
    """Replaces labels of some classes by the label of a similar class.

    Args:
        rate: Fraction of each of these classes that is mislabelled; since other classes keep their labels, the fraction
            of all samples is smaller.
        flips: True class -> wrong label, by name. Defaults to the data set's `lookalikes`, without pairs of which a
            class is not known.

    Raises:
        ValueError: If the rate is outside [0, 1].
    """

    def __init__(self, rate: float, flips: dict[ClassName, ClassName] | None = None) -> None:
        self.rate = _checked_rate("AsymmetricNoise", rate)
        self.flips = flips

    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns the identity matrix with `1 - rate` and `rate` in the rows of the classes that are flipped.

        Raises:
            ValueError: If a class does not exist, is named twice or flipped to itself, or there is nothing to flip.
        """
        known = {name: other for name, other in lookalikes.items() if name in names and other in names}
        flips = known if self.flips is None else self.flips
        if self.flips == {}:
            raise ValueError("AsymmetricNoise.flips: is empty; give pairs of true class and wrong label, or null")
        if not flips:
            raise ValueError(
                "label_noise: this data set has no lookalikes among the known classes; give pairs of "
                f"{', '.join(names)} with AsymmetricNoise.flips"
            )
        fractions = np.eye(len(names))
        option = "AsymmetricNoise.flips"
        for row, other in zip(positions_of(option, flips, names), flips.values(), strict=True):
            if (column := position_of(option, other, names)) == row:
                raise ValueError(f"{option}: {names[row]!r} is flipped to itself; name another class")
            fractions[row, [row, column]] += [-self.rate, self.rate]
        return fractions


class MatrixNoise(LabelNoise):
    """Replaces labels according to a K×K matrix: row = true class, column = label, each row sums to 1.

    Args:
        matrix: K rows of K fractions, in the order of the targets.
        rate: Fraction of the samples that the matrix is applied to, including those that keep their label: the fraction
            of wrong labels is `rate` times the off-diagonal fraction.

    Raises:
        ValueError: If the rate is outside [0, 1], the matrix is not square, has an entry outside [0, 1], or a row
            that does not sum to 1.
    """

    def __init__(self, matrix: list[list[float]], rate: float = 1.0) -> None:
        self.rate = _checked_rate("MatrixNoise", rate)
        if not matrix or any(len(row) != len(matrix) for row in matrix):
            raise ValueError(f"MatrixNoise.matrix: {len(matrix)} rows of {[len(row) for row in matrix]} are not square")
        for number, row in enumerate(matrix):
            if any(not 0 <= fraction <= 1 for fraction in row) or abs(sum(row) - 1) > 1e-6:
                raise ValueError(
                    f"MatrixNoise.matrix: row {number}, {row}, sums to {sum(row):.6g}; give fractions in [0, 1] that "
                    "sum to 1"
                )
        self.matrix = matrix

    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns the weighted mean of the matrix and the identity.

        Raises:
            ValueError: If the number of rows is not the number of classes.
        """
        if len(self.matrix) != len(names):
            raise ValueError(f"MatrixNoise.matrix: {len(self.matrix)} rows for the {len(names)} classes {list(names)}")
        return (1 - self.rate) * np.eye(len(names)) + self.rate * np.array(self.matrix)


def corrupt(targets: Tensor, transitions: np.ndarray, seed: int, part: int) -> Tensor:
    """Returns labels with exactly the requested number of wrong ones; the total is rounded only once.

    Args:
        targets: True classes 0 to K - 1, int64 `[n]`.
        transitions: Fraction of each true class (row) that gets each label (column), float64 `[K, K]`.
        seed: Seed of the draw.
        part: Number that separates the draws of one seed.
    """
    random = np.random.RandomState([seed, part])
    true, classes = targets.numpy(), len(transitions)
    given = true.copy()
    counts = np.bincount(true, minlength=classes)
    leaving = counts * (1 - transitions.diagonal())
    total = round(round(leaving.sum(), 9))  # twice: 1.5 and 1.4999999999999998 are the same number of labels
    for label, wrong in enumerate(round_to_total(leaving, total)):
        chosen = random.permutation(np.flatnonzero(true == label))[:wrong]
        others = random.permutation(np.delete(np.arange(classes), label))  # so that no label is always rounded up
        new = np.repeat(others, round_to_total(counts[label] * transitions[label, others], wrong))
        given[chosen] = random.permutation(new)
    return torch.from_numpy(given)


def _checked_rate(owner: str, rate: float) -> float:
    if not 0 <= rate <= 1:
        raise ValueError(f"{owner}.rate: {rate} is not a fraction of the labels; give one from 0 to 1")
    return rate
