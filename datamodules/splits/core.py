"""Splits as pure functions `(targets, what is asked, seed) -> indices`.

Every random choice comes from `numpy.random.RandomState`, whose stream is frozen by NumPy's compatibility policy
(NEP 19): the same request gives the same indices on every rank, machine and version.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

HOLD_OUT_SEED = int(np.iinfo(np.uint32).max)  # far from every seed that users ask for
NOBODY = torch.empty(0, dtype=torch.int64)


class Split(NamedTuple):
    """Disjoint, sorted positions in the full training set, int64 `[n]` each.

    Attributes:
        train: What is trained on with labels.
        val: What is validated on.
        unlabeled: What is trained on without labels.
    """

    train: Tensor
    val: Tensor
    unlabeled: Tensor = NOBODY


def split_train_val(targets: Tensor, train_size: int | float | None, val_size: int | float, seed: int) -> Split:
    """Draws the validation set first and the training set from the rest, so that neither size moves the other.

    Args:
        targets: Targets of the full training set `[N]`. Integer targets are stratified: each class gets its fraction
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


def hold_out(targets: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """Sets a test set aside where a data set has no official one: `(training, test)` positions.

    The draw is always the same, whatever seed the user asks for: a test sample must never be trained on by another run.

    Raises:
        ValueError: If the fraction is less than one sample.
    """
    if len(targets) * fraction < 1:
        raise ValueError(f"{len(targets)} samples are too few to set a fraction of {fraction} aside for testing")
    split = split_train_val(targets, train_size=None, val_size=fraction, seed=HOLD_OUT_SEED)
    return split.train, split.val


def count_of(name: str, size: int | float, available: int) -> int:
    """Turns a size, a count (int) or a fraction (float in [0, 1]), into a count.

    Raises:
        ValueError: If it is no number, negative, a fraction above 1 or of less than one sample, or more than
            `available`.
    """
    if not isinstance(size, (int, float)):
        raise ValueError(f"{name}: {size!r} is no size; give a count, or a fraction in [0, 1]")
    if isinstance(size, float) and not 0 <= size <= 1:
        raise ValueError(f"{name}: {size} is no fraction in [0, 1]; write a count as a whole number")
    count = round(size * available) if isinstance(size, float) else size
    if size and not count:
        raise ValueError(
            f"{name}: a fraction of {size} of {available} samples is less than one; ask for more, or for 0"
        )
    if count < 0:
        raise ValueError(f"{name}: {size} is negative; give a count of at most {available}, or a fraction in [0, 1]")
    if count > available:
        raise ValueError(
            f"{name}: {size} asked, but only {available} samples are there to draw from; give a count from 0 to "
            f"{available}, or a fraction in [0, 1]"
        )
    return count


def fractions(class_counts: np.ndarray, size: int) -> np.ndarray:
    """Divides `size` among the classes in proportion to their counts, each within one sample (largest remainders).

    Example:
        >>> fractions(np.array([50, 30, 20]), 7)
        array([4, 2, 1])
    """
    total = class_counts.sum()
    # Whole-number arithmetic: a rounding difference between machines must not move a sample.
    whole, remainder = np.divmod(class_counts.astype(np.int64) * size, max(total, 1))
    largest = np.argsort(-remainder, kind="stable")[: size - whole.sum()]
    whole[largest] += 1
    return whole


def rounded_fractions(exact: np.ndarray, total: int) -> np.ndarray:
    """Rounds parts that add up to about `total` to whole numbers that do, each within one (largest remainders).

    Parts that differ by less than a billionth count as equal, and the first of them is rounded up: the last digit of
    a float differs between machines.

    Example:
        >>> rounded_fractions(np.array([3.5, 2.1, 1.4]), 7)
        array([4, 2, 1])
    """
    whole = np.floor(exact + 1e-9)
    largest = np.argsort(-np.round(exact - whole, 9), kind="stable")[: total - int(whole.sum())]
    whole[largest] += 1
    return whole.astype(np.int64)


def shown(option: Any) -> str:
    """Writes an option as in a message: an object with its class and arguments."""
    if not hasattr(option, "__dict__"):
        return str(option)
    return f"{type(option).__name__}({', '.join(f'{name}={value}' for name, value in vars(option).items())})"


def class_orders(targets: np.ndarray, pool: np.ndarray, seed: int, part: int) -> dict[int, np.ndarray]:
    """Shuffles the positions of each class in `pool`: a draw of n takes the first n, and a larger one contains it.

    Args:
        targets: Classes of the full training set, int64 `[N]`.
        pool: The positions to order.
        seed: Of the shuffles.
        part: Keeps the draws of one seed apart.
    """
    random = np.random.RandomState([seed, part])
    labels = targets[pool]
    return {int(label): random.permutation(pool[labels == label]) for label in np.unique(labels)}


def fingerprint(**parts: Tensor) -> str:
    """Returns a short hash of named tensors, equal on every platform: two runs with the same one saw the same data.

    Args:
        **parts: Positions or classes (int64), or values (float32), `[n]` each.
    """
    digest = hashlib.sha256()
    for name, part in parts.items():
        digest.update(name.encode() + len(part).to_bytes(8, "little"))
        digest.update(part.numpy().astype("<f4" if part.is_floating_point() else "<i8").tobytes())
    return digest.hexdigest()[:16]


def _draw(targets: np.ndarray, pool: np.ndarray, size: int, seed: int, part: int) -> np.ndarray:
    """Draws `size` positions from `pool`, sorted."""
    if not np.issubdtype(targets.dtype, np.integer):
        return np.sort(np.random.RandomState([seed, part]).permutation(pool)[:size])
    orders = class_orders(targets, pool, seed, part)
    counts = fractions(np.array([len(order) for order in orders.values()]), size)
    return first_of_each(list(orders.values()), counts)


def first_of_each(orders: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Returns the first so many positions of each class, sorted."""
    return np.sort(np.concatenate([NOBODY.numpy(), *(order[:n] for order, n in zip(orders, counts, strict=True))]))


def position_of(option: str, name: str | int, names: Sequence[str]) -> int:
    """Finds a class by its name; where no class is called by a number, a whole number is a position.

    Digits are called by their numbers: `7` is the seven, also where only some of the digits are known.

    Args:
        option: Where the name was given, for the message.
        name: Of the class.
        names: Of all classes, in the order of their targets.

    Raises:
        ValueError: If there is no such class.
    """
    if str(name) in names:
        return names.index(str(name))
    if isinstance(name, int) and 0 <= name < len(names) and not any(each.isdigit() for each in names):
        return name
    raise ValueError(f"{option}: there is no class {name!r}; the classes are {', '.join(names)}")


def positions_of(option: str, given: Collection[str | int], names: Sequence[str]) -> list[int]:
    """Finds several classes.

    Raises:
        ValueError: If there is no such class, or one is given twice.
    """
    positions: list[int] = []
    for name in given:
        position = position_of(option, name, names)
        if position in positions:
            raise ValueError(f"{option}: {list(given)} names the class {names[position]!r} twice")
        positions.append(position)
    return positions
