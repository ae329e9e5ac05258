"""Splits as pure functions `(targets, what is asked, seed) -> indices`.

Every random choice comes from `numpy.random.RandomState`, whose stream is frozen by NumPy's compatibility policy
(NEP 19): the same request gives the same indices on every rank, machine and version.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Split(NamedTuple):
    """Disjoint, sorted positions in the full training set, int64 `[n]` each."""

    train: Tensor
    val: Tensor


def split_train_val(targets: Tensor, train_size: int | float | None, val_size: int | float, seed: int) -> Split:
    """Draws the validation set first and the training set from the rest, so that neither size moves the other.

    Args:
        targets: Targets of the full training set `[N]`. Integer targets are stratified: each class gets its share
            within one sample. Float targets are drawn at random.
        train_size: A count, a fraction of what validation leaves, or `None` for all of it.
        val_size: A count or a fraction of `N`; 0 for no validation set.
        seed: Of the draw. The global generators are neither read nor moved.

    Raises:
        ValueError: If a size is negative, a fraction above 1, or more than there is.
    """
    everything = np.arange(len(targets))
    values = targets.numpy()
    val = _draw(values, everything, count_of("val_size", val_size, len(everything)), seed, part=0)
    rest = np.setdiff1d(everything, val)
    wanted = len(rest) if train_size is None else count_of("train_size", train_size, len(rest))
    if wanted == 0:
        raise ValueError(
            f"train_size {train_size} and val_size {val_size} leave no training sample of {len(everything)}: "
            "ask for less validation or more training"
        )
    train = rest if train_size is None else _draw(values, rest, wanted, seed, part=1)
    return Split(torch.from_numpy(train), torch.from_numpy(val))


def count_of(name: str, size: int | float, available: int) -> int:
    """Turns a size, a count (int) or a fraction (float in [0, 1]), into a count.

    Raises:
        ValueError: If it is negative, a fraction above 1 or of less than one sample, or more than `available`.
    """
    if isinstance(size, float) and not 0 <= size <= 1:
        raise ValueError(f"{name}: {size} is no fraction in [0, 1]; write a count as a whole number")
    count = round(size * available) if isinstance(size, float) else size
    if size and not count:
        raise ValueError(f"{name}: a share of {size} of {available} samples is less than one; ask for more, or for 0")
    if not 0 <= count <= available:
        raise ValueError(
            f"{name}: {size} asked, but only {available} samples are there to draw from; give a count from 0 to "
            f"{available}, or a fraction in [0, 1]"
        )
    return count


def shares(class_counts: np.ndarray, size: int) -> np.ndarray:
    """Divides `size` among the classes in proportion to their counts, each within one sample (largest remainders).

    Example:
        >>> shares(np.array([50, 30, 20]), 7)
        array([4, 2, 1])
    """
    total = class_counts.sum()
    # Whole-number arithmetic: a rounding difference between machines must not move a sample.
    whole, remainder = np.divmod(class_counts.astype(np.int64) * size, max(total, 1))
    largest = np.argsort(-remainder, kind="stable")[: size - whole.sum()]
    whole[largest] += 1
    return whole


def fingerprint(*parts: Tensor) -> str:
    """Returns a short hash of index tensors, equal on every platform: two runs with the same one saw the same data."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part.numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def _draw(targets: np.ndarray, pool: np.ndarray, size: int, seed: int, part: int) -> np.ndarray:
    """Draws `size` positions from `pool`, sorted; `part` keeps the draws of one seed apart."""
    random = np.random.RandomState([seed, part])
    if not np.issubdtype(targets.dtype, np.integer):
        return np.sort(random.permutation(pool)[:size])
    classes, counts = np.unique(targets[pool], return_counts=True)
    chosen = [
        random.permutation(pool[targets[pool] == label])[:count]
        for label, count in zip(classes, shares(counts, size), strict=True)
    ]
    return np.sort(np.concatenate(chosen)) if chosen else pool[:0]
