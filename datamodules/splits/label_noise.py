from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.splits.core import position_of, positions_of, rounded_fractions

Flips = Mapping[str | int, str | int]


class LabelNoise(ABC):
    """Labels made wrong on purpose: how many, and which class is taken for which.

    The number of wrong labels is exact, not a matter of luck: with `corrupt`, every class has its fraction within one
    sample, and every wrong label its fraction of a class within one sample.
    """

    @abstractmethod
    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns the fraction of each true class (row) that is given each label (column), float64 `[K, K]`.

        Args:
            names: Of the K classes.
            lookalikes: Which class of this data set is taken for which.
        """


class SymmetricNoise(LabelNoise):
    """Labels replaced by random ones, whatever the class.

    Args:
        rate: Fraction of the samples whose label is replaced.
        keeps_some: What the rate counts. `False`: the new label is another one, so that exactly this fraction is wrong.
            `True`: the new label is drawn from all K classes, the true one included, so that (K − 1) / K of this
            fraction is wrong.

    Raises:
        ValueError: If the rate is outside [0, 1].
    """

    def __init__(self, rate: float, keeps_some: bool = False) -> None:
        self.rate = _checked_rate("SymmetricNoise", rate)
        self.keeps_some = keeps_some

    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns the same fraction off the diagonal everywhere."""
        classes = len(names)
        other = self.rate / (classes if self.keeps_some else classes - 1)
        return np.full((classes, classes), other) + np.eye(classes) * (1 - other * classes)


class AsymmetricNoise(LabelNoise):
    """Labels of some classes replaced by that of a class that looks alike.

    Args:
        rate: Fraction of each of these classes that is mislabelled; classes that are taken for no other stay right, so
            that the fraction of all samples is smaller.
        flips: Which class is taken for which, by name; the data set's own `lookalikes` when left out. Of those, pairs
            with a class that is not known are left out.

    Raises:
        ValueError: If the rate is outside [0, 1].
    """

    def __init__(self, rate: float, flips: dict[str | int, str | int] | None = None) -> None:
        self.rate = _checked_rate("AsymmetricNoise", rate)
        self.flips = flips

    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns `1 - rate` and `rate` in the rows of the classes that are taken for another one.

        Raises:
            ValueError: If there is no class of a name, one is named twice or taken for itself, or nothing to flip.
        """
        known = {name: other for name, other in lookalikes.items() if name in names and other in names}
        flips = known if self.flips is None else self.flips
        if self.flips == {}:
            raise ValueError("AsymmetricNoise.flips: is empty; name a class and what it is taken for, or leave it out")
        if not flips:
            raise ValueError(
                "label_noise: this data set names no lookalikes among the known classes; say with "
                f"AsymmetricNoise.flips which of {', '.join(names)} is taken for which"
            )
        fractions = np.eye(len(names))
        option = "AsymmetricNoise.flips"
        for row, other in zip(positions_of(option, flips, names), flips.values(), strict=True):
            if (column := position_of(option, other, names)) == row:
                raise ValueError(f"{option}: {names[row]!r} is taken for itself; name another class")
            fractions[row, [row, column]] += [-self.rate, self.rate]
        return fractions


class MatrixNoise(LabelNoise):
    """Labels replaced as a K×K matrix says: row = true class, column = label given, each row adds up to 1.

    Args:
        matrix: K rows of K fractions, in the order of the targets.
        rate: Fraction of the samples that the matrix is applied to. It counts those whose label comes out the same: the
            fraction of wrong labels is the rate times what is off the diagonal.

    Raises:
        ValueError: If the rate is outside [0, 1], the matrix is not square, has an entry outside [0, 1], or a row that
            does not add up to 1.
    """

    def __init__(self, matrix: list[list[float]], rate: float = 1.0) -> None:
        self.rate = _checked_rate("MatrixNoise", rate)
        if not matrix or any(len(row) != len(matrix) for row in matrix):
            raise ValueError(f"MatrixNoise.matrix: {len(matrix)} rows of {[len(row) for row in matrix]} are no square")
        for number, row in enumerate(matrix):
            if any(not 0 <= fraction <= 1 for fraction in row) or abs(sum(row) - 1) > 1e-6:
                raise ValueError(
                    f"MatrixNoise.matrix: row {number}, {row}, adds up to {sum(row):.6g}; it needs fractions in [0, 1] "
                    "that add up to 1"
                )
        self.matrix = matrix

    def transitions(self, names: Sequence[str], lookalikes: Flips) -> np.ndarray:
        """Returns the matrix, mixed with "nothing changes".

        Raises:
            ValueError: If it has not as many rows as there are classes.
        """
        if len(self.matrix) != len(names):
            raise ValueError(f"MatrixNoise.matrix: {len(self.matrix)} rows for the {len(names)} classes {list(names)}")
        return (1 - self.rate) * np.eye(len(names)) + self.rate * np.array(self.matrix)


def corrupt(targets: Tensor, transitions: np.ndarray, seed: int, part: int) -> Tensor:
    """Returns labels of which exactly as many are wrong as the transitions ask for, rounded once over all of them.

    Args:
        targets: True classes 0 to K - 1, int64 `[n]`.
        transitions: Fraction of each true class (row) that is given each label (column), float64 `[K, K]`.
        seed: Of the draw.
        part: Keeps the draws of one seed apart.
    """
    random = np.random.RandomState([seed, part])
    true, classes = targets.numpy(), len(transitions)
    given = true.copy()
    counts = np.bincount(true, minlength=classes)
    leaving = counts * (1 - transitions.diagonal())
    total = round(round(leaving.sum(), 9))  # twice: 1.5 and 1.4999999999999998 are the same number of labels
    for label, wrong in enumerate(rounded_fractions(leaving, total)):
        chosen = random.permutation(np.flatnonzero(true == label))[:wrong]
        others = random.permutation(np.delete(np.arange(classes), label))  # so that no label is always rounded up
        new = np.repeat(others, rounded_fractions(counts[label] * transitions[label, others], wrong))
        given[chosen] = random.permutation(new)
    return torch.from_numpy(given)


def _checked_rate(owner: str, rate: float) -> float:
    if not 0 <= rate <= 1:
        raise ValueError(f"{owner}.rate: {rate} is no fraction of the labels; give one from 0 to 1")
    return rate
