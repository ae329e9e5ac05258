from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.splits.core import Split, class_orders, count_of, first_of_each, fractions, shown
from litzoo.datamodules.splits.imbalance import Imbalance

WEIGHTINGS = ("inverse", "sqrt", "effective", "complement")


def class_weights(counts: Sequence[int], weighting: str, beta: float = 0.999) -> Tensor:
    """Returns how much a sample of each class counts, so that rare classes count more; on average over classes 1.

    Args:
        counts: Training samples of each class, `[K]`, none of them 0.
        weighting: `inverse`: 1 / n. `sqrt`: 1 / √n, half-way to no weights (Mahajan et al. 2018). `effective`:
            (1 − β) / (1 − β^n), the inverse of the effective number of samples (Cui et al. 2019). `complement`:
            1 − n / N, the source article's.
        beta: β of `effective`; 0 gives no weights, close to 1 gives those of `inverse`.

    Returns:
        Weights, float32 `[K]`.

    Raises:
        ValueError: If the weighting is none of these, or beta is outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta: {beta} is outside [0, 1); 0.9, 0.99, 0.999 and 0.9999 are usual")
    n = torch.tensor(counts, dtype=torch.float64)
    if weighting == "inverse":
        weights = 1 / n
    elif weighting == "sqrt":
        weights = n.rsqrt()
    elif weighting == "effective":
        weights = (1 - beta) / (1 - beta**n)
    elif weighting == "complement":
        weights = 1 - n / n.sum()
    else:
        raise ValueError(f"class weighting {weighting!r} is none of {', '.join(WEIGHTINGS)}")
    return (weights / weights.mean()).float()


Size = int | float | dict[str, int]


class ClassRequest(NamedTuple):
    """What is asked of the training set of a classification data set.

    Attributes:
        known: Labels of the classes to learn, in the order of their targets; samples of others are left out.
        names: Of these classes.
        val_size: Validation samples: a count, or a fraction of the samples of known classes.
        train_size: Training samples: a count, a fraction of what validation leaves, `{"per_class": n}`, or `None` for
            all of them.
        imbalance: How imbalanced they are.
        num_labeled: How many of them have a label, a count or a fraction; `None` for all.
        balance_labeled: Whether each class has as many labels; else they are in proportion to the classes.
        unknown_unlabeled: How many samples of other classes join those without a label: a count, or a fraction of all
            that there are.
        seed: Of all draws.
    """

    known: Sequence[int]
    names: Sequence[str]
    val_size: int | float
    train_size: Size | None
    imbalance: Imbalance | None
    num_labeled: int | float | None
    balance_labeled: bool
    unknown_unlabeled: int | float
    seed: int


def split_classes(labels: Tensor, asked: ClassRequest) -> Split:
    """Splits in a fixed order: known classes, validation, size and imbalance of the training set, labels, unknown ones.

    Validation comes first and depends on the labels, the known classes, its own size and the seed alone. Each draw
    takes the first samples of a shuffled class: of each class, a smaller request is contained in a larger one.

    Args:
        labels: Labels of the full training set as in the file, int64 `[N]`.
        asked: What is asked.

    Raises:
        ValueError: If something is asked that the data cannot give; the message has the numbers that clash.
    """
    values, everything = labels.numpy(), np.arange(len(labels))
    # Ties of rounding go to the smallest label, in whatever order the known classes are listed.
    by_label = np.argsort(asked.known, kind="stable")

    def orders(pool: np.ndarray, part: int) -> list[np.ndarray]:
        drawn = class_orders(values, pool, asked.seed, part)
        return [drawn.get(label, everything[:0]) for label in asked.known]

    def in_proportion(counts: np.ndarray, size: int) -> np.ndarray:
        divided = np.empty_like(counts)
        divided[by_label] = fractions(counts[by_label], size)
        return divided

    drawn = orders(everything, part=0)  # unknown classes too: leaving one out does not move the others
    counts = np.array([len(order) for order in drawn])
    val = first_of_each(drawn, in_proportion(counts, count_of("val_size", asked.val_size, counts.sum())))

    drawn = orders(np.setdiff1d(everything, val), part=1)
    counts = np.array([len(order) for order in drawn])
    wanted = _train_counts(asked, counts, len(val), in_proportion)
    train, unlabeled = first_of_each(drawn, wanted), everything[:0]

    if asked.num_labeled is not None:
        drawn = orders(train, part=2)
        labeled = count_of("num_labeled", asked.num_labeled, len(train))
        per_class = in_proportion(np.ones_like(wanted) if asked.balance_labeled else wanted, labeled)
        if labeled < len(wanted):
            raise ValueError(f"num_labeled: {labeled} labels do not reach all of {len(wanted)} classes: ask for more")
        if (per_class > wanted).any() or not per_class.all():
            wrong = int(np.argmax((per_class > wanted) | (per_class == 0)))
            remedy = f"{'fewer' if per_class[wrong] else 'more'} labels"
            raise ValueError(
                f"num_labeled: {labeled} labels are {per_class[wrong]} for class {asked.names[wrong]!r}, which has "
                f"{wanted[wrong]} training samples; each class needs at least one label, and no more than it has: ask "
                f"for {remedy}, or set balance_labeled {str(not asked.balance_labeled).lower()}"
            )
        whole, train = train, first_of_each(drawn, per_class)
        unlabeled = np.setdiff1d(whole, train)
    if asked.unknown_unlabeled:
        unlabeled = np.union1d(unlabeled, _draw_unknown(values, asked))
    return Split(*map(torch.from_numpy, (train, val, unlabeled)))


def _draw_unknown(values: np.ndarray, asked: ClassRequest) -> np.ndarray:
    """Draws samples of unknown classes, in proportion to these."""
    # From all classes, so that one more that is known does not move the others.
    drawn = class_orders(values, np.arange(len(values)), asked.seed, part=5)
    unknown = [order for label, order in drawn.items() if label not in asked.known]
    counts = np.array([len(order) for order in unknown], dtype=np.int64)
    return first_of_each(
        unknown, fractions(counts, count_of("unknown_unlabeled", asked.unknown_unlabeled, counts.sum()))
    )


def _train_counts(
    asked: ClassRequest, available: np.ndarray, validated: int, in_proportion: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Returns how many training samples each class gets."""
    size, head, total = asked.train_size, None, None
    if isinstance(size, dict):
        if set(size) != {"per_class"} or not isinstance(size["per_class"], int):
            raise ValueError(f"train_size: {size} is no size; give a count, a fraction, or {{per_class: count}}")
        head = min(size["per_class"], 2**40)  # more than there can be; the message has it all the same
    elif size is not None:
        total = count_of("train_size", size, available.sum())
    if asked.imbalance is not None:
        wanted = asked.imbalance.counts(available, asked.names, head, total)
    elif total is not None:
        wanted = in_proportion(available, total)
    else:
        wanted = available if head is None else np.full_like(available, head)
    requests = {"train_size": size, "imbalance": asked.imbalance, "val_size": asked.val_size}
    stated = ", ".join(f"{option} {shown(value)}" for option, value in requests.items() if value is not None)
    if not wanted.any():
        raise ValueError(
            f"{stated} leave no training sample of {validated + available.sum()}: ask for less validation or more "
            "training"
        )
    for name, count, most in zip(asked.names, wanted, available, strict=True):
        if not 0 < count <= most:
            raise ValueError(
                f"{stated}: {count} training samples of class {name!r} asked, which has {most} after validation; each "
                f"class needs at least one: ask for {'fewer' if count > most else 'more'}, or for less "
                f"{'validation' if asked.imbalance is None else 'imbalance or validation'}"
            )
    return wanted
