"""Splits as pure functions `(targets, request, seed) -> indices`.

Random numbers come from `numpy.random.RandomState` only, whose stream is frozen by NumPy's compatibility policy
(NEP 19): the same request gives the same indices on every rank, machine and version.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
import torch
import yaml
from torch import Tensor

from litzoo.datamodules.splits.folds import Fold, fold_numbers

HOLD_OUT_SEED = int(np.iinfo(np.uint32).max)  # unlikely to be a user's seed
ClassName = str | int | float | bool
"""A class name as it stands in YAML, where `yes` without quotes is true and `01` is 1."""
EMPTY = torch.empty(0, dtype=torch.int64)


class Split(NamedTuple):
    """Disjoint, sorted indices into the full training set, int64 `[n]` each.

    Attributes:
        train: Labeled training samples.
        val: Validation samples.
        unlabeled: Unlabeled training samples.
    """

    train: Tensor
    val: Tensor
    unlabeled: Tensor = EMPTY

    def parts(self) -> dict[str, Tensor]:
        """Returns name -> indices, without `unlabeled` if it is empty."""
        return {name: part for name, part in self._asdict().items() if name != "unlabeled" or len(part)}


def split_train_val(targets: Tensor, train_size: int | float | None, val_size: int | float | Fold, seed: int) -> Split:
    """Draws the validation set, then the training set from the rest; the first does not depend on `train_size`.

    Args:
        targets: Targets of the full training set `[N]`. Integer targets are stratified: each class gets its fraction
            within one sample. Float targets are drawn at random.
        train_size: A count, a fraction of what validation leaves, or `None` for all of it.
        val_size: A count or a fraction of `N`; 0 for no validation set; or a fold of a cross-validation.
        seed: Seed of the draw. The global generators are neither used nor changed.

    Raises:
        ValueError: If a size is negative, a fraction above 1, or larger than what is available.
    """
    everything = np.arange(len(targets))
    values = targets.numpy()
    if isinstance(val_size, Fold):
        if len(values) < val_size.of:
            raise ValueError(f"data.folds {val_size.of}: only {len(values)} samples to divide; give fewer folds")
        val = np.flatnonzero(fold_numbers(values, val_size.of, seed) == val_size.number)
    else:
        val = _draw(values, everything, count_of("val_size", val_size, len(everything)), seed, part=0)
    rest = np.setdiff1d(everything, val)
    count = len(rest) if train_size is None else count_of("train_size", train_size, len(rest))
    if count == 0:
        raise ValueError(
            f"train_size {train_size} and val_size {val_size} leave no training sample of {len(everything)}: "
            "lower val_size or raise train_size"
        )
    train = rest if train_size is None else _draw(values, rest, count, seed, part=1)
    return Split(torch.from_numpy(train), torch.from_numpy(val))


def hold_out(targets: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """Holds out a test set where a data set has no official one: `(training, test)` indices.

    The draw is independent of the user's seed, so that no run trains on a test sample of another run.

    Raises:
        ValueError: If the fraction is less than one sample.
    """
    if len(targets) * fraction < 1:
        raise ValueError(f"{len(targets)} samples are too few to hold out a fraction of {fraction} for testing")
    split = split_train_val(targets, train_size=None, val_size=fraction, seed=HOLD_OUT_SEED)
    return split.train, split.val


def count_of(name: str, size: int | float, available: int) -> int:
    """Converts a size, a count (int) or a fraction (float in [0, 1]), to a count.

    Raises:
        ValueError: If it is not a number, negative, a fraction above 1 or of less than one sample, or more than
            `available`.
    """
    if not isinstance(size, (int, float)):
        raise ValueError(f"{name}: {size!r} is not a size; give a count, or a fraction in [0, 1]")
    size = whole(size)
    if isinstance(size, float) and not 0 <= size <= 1:
        raise ValueError(f"{name}: {size} is not a fraction in [0, 1]; write a count as an integer")
    count = round(size * available) if isinstance(size, float) else size
    if size and not count:
        raise ValueError(f"{name}: a fraction of {size} of {available} samples is less than one; raise it, or give 0")
    if count < 0:
        raise ValueError(f"{name}: {size} is negative; give a count of at most {available}, or a fraction in [0, 1]")
    if count > available:
        raise ValueError(
            f"{name}: {size} requested, but only {available} samples are available; give a count from 0 to "
            f"{available}, or a fraction in [0, 1]"
        )
    return count


def whole(size: int | float) -> int | float:
    """Returns a size, as an integer if it is a whole number above 1.

    Where an imported library has a `Union[float, int]`, the command line reads `--data.train_size 80` as 80.0: Python
    then takes `int | float | None` for the same type.
    """
    return int(size) if isinstance(size, float) and size > 1 and size.is_integer() else size


def proportional_counts(class_counts: np.ndarray, size: int) -> np.ndarray:
    """Divides `size` among classes in proportion to their counts, each within one (largest remainder method).

    Example:
        >>> proportional_counts(np.array([50, 30, 20]), 7)
        array([4, 2, 1])
    """
    total = class_counts.sum()
    # Integer arithmetic, so that rounding differences between machines cannot change the split.
    whole, remainder = np.divmod(class_counts.astype(np.int64) * size, max(total, 1))
    largest = np.argsort(-remainder, kind="stable")[: size - whole.sum()]
    whole[largest] += 1
    return whole


def round_to_total(exact: np.ndarray, total: int) -> np.ndarray:
    """Rounds numbers that sum to about `total` to integers that sum to it, each within one (largest remainder method).

    Remainders that differ by less than 1e-9 are ties, and the first of them is rounded up: the last digit of a float
    differs between machines.

    Example:
        >>> round_to_total(np.array([3.5, 2.1, 1.4]), 7)
        array([4, 2, 1])
    """
    whole = np.floor(exact + 1e-9)
    largest = np.argsort(-np.round(exact - whole, 9), kind="stable")[: total - int(whole.sum())]
    whole[largest] += 1
    return whole.astype(np.int64)


def class_orders(targets: np.ndarray, pool: np.ndarray, seed: int, part: int) -> dict[int, np.ndarray]:
    """Shuffles the indices of each class in `pool`; taking the first n of an order makes smaller draws nested.

    Args:
        targets: Classes of the full training set, int64 `[N]`.
        pool: The indices to shuffle.
        seed: Seed of the shuffles.
        part: Number that separates the draws of one seed.
    """
    random = np.random.RandomState([seed, part])
    labels = targets[pool]
    return {int(label): random.permutation(pool[labels == label]) for label in np.unique(labels)}


def first_of_each(orders: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Returns the first `counts[k]` indices of each class `k`, all of them sorted."""
    return np.sort(np.concatenate([EMPTY.numpy(), *(order[:n] for order, n in zip(orders, counts, strict=True))]))


def position_of(option: str, name: ClassName, names: Sequence[str]) -> int:
    """Finds the position of a class by its name, or by its number if no class name is a number.

    Digits are named by their numbers: `7` is the digit seven, also if only some of the digits are known. A name without
    quotes that YAML reads as another value is found too: `yes` (true), `01` (1) or `1e3` (1000.0). Unicode forms are
    not distinguished.

    Args:
        option: The option that names the class, for the message.
        name: Name or number of the class, as YAML reads it.
        names: Names of all classes, in the order of their targets.

    Raises:
        ValueError: If there is no such class, or several that YAML reads like the given one.
    """
    text, forms = normalize("NFC", str(name)), [normalize("NFC", each) for each in names]
    if text in forms:
        return forms.index(text)
    alike = (
        [] if isinstance(name, str) else [position for position, each in enumerate(names) if _is_read_as(each, name)]
    )
    if len(alike) == 1:
        return alike[0]
    if alike:
        found = " and ".join(repr(names[position]) for position in alike)
        raise ValueError(f"{option}: YAML reads {found} as {name!r}; write the name of the class in quotes")
    if (
        isinstance(name, int)
        and not isinstance(name, bool)
        and 0 <= name < len(names)
        and not any(each.isdigit() for each in names)
    ):
        return name
    raise ValueError(f"{option}: there is no class {name!r}; the classes are {', '.join(names)}")


def _is_read_as(name: str, value: object) -> bool:
    """Returns whether YAML, or a command line, reads a class name as a value that is not a text."""
    if isinstance(value, str):
        return False
    try:
        read = yaml.safe_load(name)
        if isinstance(read, str) and isinstance(value, float):  # 1e3 is a number to other parsers than PyYAML
            read = float(read)
    except (yaml.YAMLError, ValueError):
        return False
    return type(read) is type(value) and read == value


def positions_of(option: str, given: Collection[ClassName], names: Sequence[str]) -> list[int]:
    """Finds the positions of several classes.

    Raises:
        ValueError: If there is no such class, or one is named twice.
    """
    positions: list[int] = []
    for name in given:
        position = position_of(option, name, names)
        if position in positions:
            raise ValueError(f"{option}: {list(given)} names the class {names[position]!r} twice")
        positions.append(position)
    return positions


def _draw(targets: np.ndarray, pool: np.ndarray, size: int, seed: int, part: int) -> np.ndarray:
    """Draws `size` indices from `pool`, sorted; stratified if targets are integers."""
    if not np.issubdtype(targets.dtype, np.integer):
        return np.sort(np.random.RandomState([seed, part]).permutation(pool)[:size])
    orders = class_orders(targets, pool, seed, part)
    counts = proportional_counts(np.array([len(order) for order in orders.values()]), size)
    return first_of_each(list(orders.values()), counts)
