"""Folds of cross-validation: each sample that is not for testing validates in one of k trainings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PART = 6
"""Number that separates this draw from the others of one seed."""


class Fold(NamedTuple):
    """One of k validation sets of a cross-validation.

    Attributes:
        number: Which one, from 0.
        of: k.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"fold {self.number} of {self.of}"


def fold_of(folds: int | None, fold: int | None) -> Fold | None:
    """Returns the fold that the options `data.folds` and `data.fold` choose, `None` without them.

    Raises:
        ValueError: If one of them is missing or out of range.
    """
    if folds is None and fold is None:
        return None
    if folds is None:
        raise ValueError(f"data.fold {fold} without data.folds: give the number of folds too")
    if not isinstance(folds, int) or folds < 2:
        raise ValueError(f"data.folds: {folds}; give an integer of at least 2")
    if not isinstance(fold, int) or not 0 <= fold < folds:
        raise ValueError(
            f"data.fold: {fold} with data.folds {folds}; give the fold that validates, 0 to {folds - 1}; "
            f"`litzoo compare --folds {folds}` trains on all"
        )
    return Fold(fold, folds)


def fold_numbers(targets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Assigns each sample to a fold, int64 `[N]`; the sizes of two folds differ by at most one.

    Args:
        targets: Integers are classes, each of which is spread evenly within one sample; floats are spread at random.
        folds: Number of folds.
        seed: Seed of the draw.
    """
    order = np.random.RandomState([seed, PART]).permutation(len(targets))
    if np.issubdtype(targets.dtype, np.integer):
        order = order[np.argsort(targets[order], kind="stable")]
    numbers = np.empty(len(targets), dtype=np.int64)
    numbers[order] = np.arange(len(targets)) % folds
    return numbers


def require_in_each_fold(option: str, folds: int, counts: Sequence[int], names: Sequence[str]) -> None:
    """Checks that there are at least as many samples of each class as folds.

    Args:
        option: Name of the option, for the message.
        folds: Number of folds.
        counts: Samples of each class that are divided.
        names: Names of the classes.

    Raises:
        ValueError: If there are fewer.
    """
    smallest = int(np.argmin(counts))
    if counts[smallest] < folds:
        raise ValueError(
            f"{option} {folds}: the class {names[smallest]!r} has {counts[smallest]:,} samples; give at most as many "
            "folds as the smallest class has samples (at least 2), or leave the class out with data.known_classes"
        )


def require_outside_fold(fold: Fold, counts: Sequence[int], left: Sequence[int], names: Sequence[str]) -> None:
    """Checks that a fold that is drawn by content leaves samples of each class to train on.

    Args:
        fold: The fold.
        counts: Samples of each class that are divided.
        left: Those outside the fold.
        names: Names of the classes.

    Raises:
        ValueError: If it holds all samples of a class.
    """
    if 0 in left:
        rarest = list(left).index(0)
        raise ValueError(
            f"data.folds {fold.of}: {fold} holds all {counts[rarest]} samples of the class {names[rarest]!r} that are "
            "not for testing, and leaves none to train on: each sample's fold follows from a hash of its content, so "
            "that a rare class is not spread evenly. Leave the class out with data.known_classes, or collect more "
            "samples of it; another number of folds, also a smaller one, helps only by chance"
        )
