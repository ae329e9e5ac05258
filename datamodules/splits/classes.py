"""The split of a training set with classes: known classes, validation, imbalance, hidden labels, unknown classes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.splits.core import Split, class_orders, count_of, first_of_each, proportional_counts
from litzoo.datamodules.splits.folds import Fold, fold_numbers, require_in_each_fold, require_outside_fold
from litzoo.datamodules.splits.imbalance import Imbalance
from litzoo.datamodules.splits.membership import draw_numbers
from litzoo.datamodules.splits.record import describe

Size = int | float | dict[str, int]


class ClassRequest(NamedTuple):
    """The requested split of the training set of a classification data set.

    Attributes:
        known: Labels of the classes to learn, in the order of their targets; samples of other classes are left out.
        names: Names of these classes.
        val_size: Number of validation samples: a count, or a fraction of the samples of known classes; or a fold of a
            cross-validation, in which each class is spread evenly.
        train_size: Number of training samples: a count, a fraction of what validation leaves, `{"per_class": n}`, or
            `None` for all of it.
        imbalance: Class imbalance of the training samples.
        num_labeled: Number of training samples with a label, a count or a fraction; `None` for all.
        balance_labeled: Whether each class has equally many labels; else they are proportional to the class sizes.
        unknown_unlabeled: Number of samples of unknown classes in the unlabeled pool: a count, or a fraction of all
            samples of unknown classes.
        seed: Seed of all draws.
        val: Whether each sample is a validation sample, bool `[N]`, if that is decided already; `val_size` is not used.
        ids: Content id of each sample, if draws within a class follow a hash of the content and the seed, rather than
            the positions of the samples.
    """

    known: Sequence[int]
    names: Sequence[str]
    val_size: int | float | Fold
    train_size: Size | None
    imbalance: Imbalance | None
    num_labeled: int | float | None
    balance_labeled: bool
    unknown_unlabeled: int | float
    seed: int
    val: Tensor | None = None
    ids: Sequence[str] | None = None


def split_classes(labels: Tensor, request: ClassRequest) -> Split:
    """Splits in a fixed order: known classes, validation, training size and imbalance, labels, unknown classes.

    Validation comes first and depends on the labels, the known classes, its own size and the seed only. Each draw
    takes the first samples of a shuffled class, so that for each class smaller requests are subsets of larger ones.

    Args:
        labels: Labels of the full training set as in the files, int64 `[N]`.
        request: The requested split.

    Raises:
        ValueError: If the data cannot satisfy the request; the message contains the conflicting numbers.
    """
    values, everything = labels.numpy(), np.arange(len(labels))
    # Rounding ties go to the smallest label, so that the order of the known classes does not matter.
    by_label = np.argsort(request.known, kind="stable")

    def orders(pool: np.ndarray, part: int) -> list[np.ndarray]:
        drawn = _class_orders(values, pool, request, part)
        return [drawn.get(label, everything[:0]) for label in request.known]

    def in_proportion(counts: np.ndarray, size: int) -> np.ndarray:
        divided = np.empty_like(counts)
        divided[by_label] = proportional_counts(counts[by_label], size)
        return divided

    if isinstance(request.val_size, Fold):
        sizes = np.bincount(values, minlength=max(request.known) + 1)[request.known]
        require_in_each_fold("data.folds", request.val_size.of, sizes.tolist(), request.names)
    if request.val is not None:
        val = np.flatnonzero(request.val.numpy() & np.isin(values, request.known))
        rest = np.flatnonzero(~request.val.numpy())
        if isinstance(request.val_size, Fold):
            left = np.bincount(values[rest], minlength=max(request.known) + 1)[request.known]
            require_outside_fold(request.val_size, sizes.tolist(), left.tolist(), request.names)
    elif isinstance(request.val_size, Fold):
        numbers = fold_numbers(values, request.val_size.of, request.seed)  # of unknown classes too, as below
        val = np.flatnonzero((numbers == request.val_size.number) & np.isin(values, request.known))
        rest = np.setdiff1d(everything, val)
    else:
        drawn = orders(everything, part=0)  # of unknown classes too: leaving a class out does not change the others
        counts = np.array([len(order) for order in drawn])
        val = first_of_each(drawn, in_proportion(counts, count_of("val_size", request.val_size, counts.sum())))
        rest = np.setdiff1d(everything, val)

    drawn = orders(rest, part=1)
    counts = np.array([len(order) for order in drawn])
    sizes = _train_counts(request, counts, len(val), in_proportion)
    train, unlabeled = first_of_each(drawn, sizes), everything[:0]

    if request.num_labeled is not None:
        drawn = orders(train, part=2)
        whole, train = train, first_of_each(drawn, _labeled_counts(request, sizes, in_proportion))
        unlabeled = np.setdiff1d(whole, train)
    if request.unknown_unlabeled:
        unlabeled = np.union1d(unlabeled, _draw_unknown(values, request))
    return Split(*map(torch.from_numpy, (train, val, unlabeled)))


def _class_orders(values: np.ndarray, pool: np.ndarray, request: ClassRequest, part: int) -> dict[int, np.ndarray]:
    """Returns the samples of each class in the order in which draws take them."""
    if request.ids is None:
        return class_orders(values, pool, request.seed, part)
    numbers = draw_numbers(request.ids, f"class {request.seed} {part}")
    by_hash = pool[np.argsort(numbers[pool], kind="stable")]
    return {int(label): by_hash[values[by_hash] == label] for label in np.unique(values[pool])}


Divide = Callable[[np.ndarray, int], np.ndarray]


def _train_counts(request: ClassRequest, available: np.ndarray, validated: int, in_proportion: Divide) -> np.ndarray:
    """Returns the number of training samples of each class."""
    size, head, total = request.train_size, None, None
    if isinstance(size, dict):
        if set(size) != {"per_class"} or not isinstance(size["per_class"], int):
            raise ValueError(f"train_size: {size} is not a size; give a count, a fraction, or {{per_class: count}}")
        head = min(size["per_class"], 2**40)  # avoids an overflow; the message still shows the requested number
    elif size is not None:
        total = count_of("train_size", size, available.sum())
    if request.imbalance is not None:
        counts = request.imbalance.counts(available, request.names, head, total)
    elif total is not None:
        counts = in_proportion(available, total)
    else:
        counts = available if head is None else np.full_like(available, head)
    options = {"train_size": size, "imbalance": request.imbalance, "val_size": request.val_size}
    stated = ", ".join(f"{option} {describe(value)}" for option, value in options.items() if value is not None)
    if not counts.any():
        raise ValueError(
            f"{stated} leave no training sample of {validated + available.sum()}: lower val_size or raise train_size"
        )
    for name, count, most in zip(request.names, counts, available, strict=True):
        if not 0 < count <= most:
            raise ValueError(
                f"{stated}: {count} training samples of class {name!r} requested, which has {most} after validation; "
                f"each class needs at least one: request {'fewer' if count > most else 'more'}, or lower "
                f"{'val_size' if request.imbalance is None else 'the imbalance or val_size'}"
            )
    return counts


def _labeled_counts(request: ClassRequest, sizes: np.ndarray, in_proportion: Divide) -> np.ndarray:
    """Returns the number of labeled samples of each class, of training samples `sizes`."""
    assert request.num_labeled is not None
    labeled = count_of("num_labeled", request.num_labeled, int(sizes.sum()))
    counts = in_proportion(np.ones_like(sizes) if request.balance_labeled else sizes, labeled)
    if labeled < len(sizes):
        raise ValueError(f"num_labeled: {labeled} labels are too few for {len(sizes)} classes: request more")
    if (counts > sizes).any() or not counts.all():
        wrong = int(np.argmax((counts > sizes) | (counts == 0)))
        raise ValueError(
            f"num_labeled: {labeled} labels are {counts[wrong]} for class {request.names[wrong]!r}, which has "
            f"{sizes[wrong]} training samples; each class needs at least one label, and at most one per sample: "
            f"request {'fewer' if counts[wrong] else 'more'} labels, or set balance_labeled "
            f"{str(not request.balance_labeled).lower()}"
        )
    return counts


def _draw_unknown(values: np.ndarray, request: ClassRequest) -> np.ndarray:
    """Draws samples of unknown classes, in proportion to the sizes of these classes."""
    # Shuffles all classes, so that making one more class known does not change the others.
    pool = np.arange(len(values)) if request.val is None else np.flatnonzero(~request.val.numpy())
    drawn = _class_orders(values, pool, request, part=5)
    unknown = [order for label, order in drawn.items() if label not in request.known]
    counts = np.array([len(order) for order in unknown], dtype=np.int64)
    size = count_of("unknown_unlabeled", request.unknown_unlabeled, counts.sum())
    return first_of_each(unknown, proportional_counts(counts, size))
