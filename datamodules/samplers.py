"""Batch samplers, and the class weights that weighted sampling and losses use.

The samplers are meant for a `DataLoader` with `batch_size=None`: each item is a whole batch of indices.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from litzoo.datamodules.splits.core import round_to_total

WEIGHTINGS = ("inverse", "sqrt", "effective", "complement")


class EpochBatches(DistributedSampler[np.ndarray]):
    """Shuffled batches whose order depends on the seed of the run and the epoch only.

    A resumed run therefore gets the same batches as an uninterrupted one. The ranks share the batches of one order:
    no sample is dropped or repeated (torch's `DistributedSampler` repeats samples until all ranks have equally many).
    If the last batch has fewer than `least` samples for each rank, they are added to the batches before.

    It is a `DistributedSampler` so that Lightning does not replace it and calls `set_epoch`.

    Args:
        size: Number of samples in the data set.
        batch_size: Batch size per rank.
        drop_last: Whether to drop an incomplete last batch.
        steps: Number of batches per rank; samples are repeated, in reshuffled passes, until all batches are full.
            Defaults to one pass.
        stream: Number that separates the random orders of two loaders of a run.
        num_replicas: Number of processes.
        rank: Rank of this process.
        least: Smallest last batch of a rank, but at most `batch_size`; 2 for batch norm, which cannot be trained with
            one sample.

    Raises:
        ValueError: If there are fewer samples than processes, or `drop_last` would drop every batch.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        drop_last: bool = False,
        steps: int | None = None,
        stream: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        least: int = 1,
    ) -> None:
        super().__init__(range(size), num_replicas, rank)  # type: ignore[arg-type]
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed())) % 2**32
        self.size = size
        self.stream = [stream] if stream else []
        self.sizes = _batch_sizes(size, batch_size, drop_last, steps, num_replicas, min(least, batch_size))
        self._start = 0

    def start_at(self, batch: int) -> None:
        """Makes the next iteration begin with a later batch of the epoch, to resume a training within an epoch."""
        self._start = batch

    def __len__(self) -> int:
        """Returns the number of batches of this rank."""
        return len(self.sizes) // self.num_replicas

    def __iter__(self) -> Iterator[np.ndarray]:
        """Returns an iterator over the batches of this rank, as indices int64 `[B]`."""
        start, self._start = self._start, 0
        return self._batches_from(start)

    def _batches_from(self, start: int) -> Iterator[np.ndarray]:
        ends = np.cumsum(self.sizes)
        order = self.order(np.random.RandomState([self.seed, self.epoch, *self.stream]), int(ends[-1]))
        for number in range(self.rank + start * self.num_replicas, len(ends), self.num_replicas):
            yield order[ends[number] - self.sizes[number] : ends[number]]

    def order(self, random: np.random.RandomState, total: int) -> np.ndarray:
        """Returns the indices of all batches of all ranks, concatenated, int64 `[total]`."""
        return _reshuffled(random, np.arange(self.size), total)


class EvaluationBatches(EpochBatches):
    """Batches in the order of the data set: every sample is in exactly one batch of one rank.

    Metrics can therefore be summed over ranks. All ranks have equally many batches. With fewer samples than ranks, each
    of the remaining ranks gets a copy of a sample, since Lightning expects a batch on every rank.

    Args:
        size: Number of samples in the data set, at least 1.
        batch_size: Batch size per rank.
        num_replicas: Number of processes.
        rank: Rank of this process.

    Attributes:
        repeats: Whether this rank only has a copy of another rank's sample, which metrics must not count.
    """

    def __init__(self, size: int, batch_size: int, num_replicas: int = 1, rank: int = 0) -> None:
        super().__init__(max(size, num_replicas), batch_size, num_replicas=num_replicas, rank=rank)
        self.samples = size
        self.repeats = rank >= size

    def order(self, random: np.random.RandomState, total: int) -> np.ndarray:
        """Returns the indices in order, int64 `[total]`."""
        return np.arange(total) % self.samples


class WeightedBatches(EpochBatches):
    """Samples each class in proportion to its size times its weight; an epoch has as many samples as the data set.

    Like torch's `WeightedRandomSampler` with the weight of each sample's class, but with exact counts: a class has its
    fraction of every epoch within one sample, and no sample is drawn a third time before all other samples of its class
    have been drawn twice.

    Args:
        classes: Class of each sample, int64 `[n]`, in any order.
        weights: Weight of a sample of each class `[K]`.
        batch_size: Batch size per rank.
        **options: See `EpochBatches`.
    """

    def __init__(self, classes: Tensor, weights: Tensor, batch_size: int, **options: Any) -> None:
        super().__init__(len(classes), batch_size, **options)
        self.members = [np.flatnonzero(classes.numpy() == label) for label in range(len(weights))]
        mass = weights.double().numpy() * [len(members) for members in self.members]
        self.class_fractions = mass / mass.sum()

    def order(self, random: np.random.RandomState, total: int) -> np.ndarray:
        """Returns the shuffled indices of all batches, int64 `[total]`."""
        counts = round_to_total(self.class_fractions * total, total)
        labels = np.repeat(np.arange(len(self.members)), counts)
        random.shuffle(labels)
        return _samples_of_labels(random, labels, self.members)


class BalancedBatches(EpochBatches):
    """Batches with equally many samples of every class, within one.

    Args:
        classes: Class of each sample, int64 `[n]`, in any order.
        batch_size: Batch size per rank. If it is smaller than the number of classes, a batch has at most one sample of
            each class.
        **options: See `EpochBatches`.
    """

    def __init__(self, classes: Tensor, batch_size: int, **options: Any) -> None:
        super().__init__(len(classes), batch_size, **options)
        labels = classes.numpy()
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]

    def order(self, random: np.random.RandomState, total: int) -> np.ndarray:
        """Returns the indices of all batches, shuffled within each batch, int64 `[total]`."""
        classes = len(self.members)
        labels = np.arange(total) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)  # position in the batch
        remainder = labels >= np.repeat(self.sizes - self.sizes % classes, self.sizes)
        labels %= classes
        # The remainder of each batch goes to classes in rotation, none of them twice in a batch.
        labels[remainder] = self._rotation(random, self.sizes % classes)
        for size in np.unique(self.sizes).tolist():
            of_size = np.repeat(self.sizes == size, self.sizes)
            batches = labels[of_size].reshape(-1, size)
            shuffled = np.argsort(random.random_sample(batches.shape), axis=1)
            labels[of_size] = np.take_along_axis(batches, shuffled, axis=1).ravel()
        return _samples_of_labels(random, labels, self.members)

    def _rotation(self, random: np.random.RandomState, remainders: np.ndarray) -> np.ndarray:
        """Returns classes for the remainder of each batch: each class is used once before any is used again."""
        classes = len(self.members)
        chosen: list[int] = []
        waiting: list[int] = []
        for remainder in remainders.tolist():
            if len(waiting) < remainder:
                following = random.permutation(classes).tolist()
                waiting += sorted(following, key=waiting.__contains__)  # classes still waiting come last
            chosen += waiting[:remainder]
            del waiting[:remainder]
        return np.array(chosen, dtype=np.int64)


def class_weights(counts: Sequence[int], weighting: str, beta: float = 0.999) -> Tensor:
    """Returns a weight for the samples of each class, larger for rarer classes; the mean over classes is 1.

    Args:
        counts: Number of training samples of each class `[K]`, all positive.
        weighting: `inverse`: 1 / n. `sqrt`: 1 / √n, between `inverse` and no weights (Mahajan et al. 2018).
            `effective`: (1 − β) / (1 − β^n), the inverse of the effective number of samples (Cui et al. 2019).
            `complement`: 1 − n / N, from the source article.
        beta: β of `effective`; 0 gives equal weights, and values close to 1 those of `inverse`.

    Returns:
        Weights, float32 `[K]`.

    Raises:
        ValueError: If the weighting is not one of these, or beta is outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta: {beta} is outside [0, 1); usual values are 0.9, 0.99, 0.999 and 0.9999")
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
        raise ValueError(f"data.class_weighting: {weighting!r} is not one of {', '.join(WEIGHTINGS)}")
    return (weights / weights.mean()).float()


def _samples_of_labels(random: np.random.RandomState, labels: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """Returns a sample of the class for each label; each class is drawn from in reshuffled passes."""
    counts = np.bincount(labels, minlength=len(members)).tolist()
    order = np.empty(len(labels), dtype=np.int64)
    short = labels.astype(np.min_scalar_type(len(members)))  # integers of one or two bytes are sorted 10 times as fast
    by_class = np.argsort(short, kind="stable")
    order[by_class] = np.concatenate([_reshuffled(random, *pair) for pair in zip(members, counts, strict=True)])
    return order


def _reshuffled(random: np.random.RandomState, indices: np.ndarray, total: int) -> np.ndarray:
    """Returns the first `total` elements of shuffled passes over the indices."""
    passes = -(-total // max(len(indices), 1))
    drawn = [random.permutation(indices) for _ in range(passes)]
    return np.concatenate(drawn)[:total] if drawn else indices[:0]


def _batch_sizes(
    size: int, batch_size: int, drop_last: bool, steps: int | None, processes: int, least: int
) -> np.ndarray:
    """Returns the size of each batch, ordered by step and within a step by rank."""
    whole, left = divmod(size, batch_size * processes)
    if steps is not None:
        whole, left = steps, 0
    if whole == 0 and (drop_last or left < processes):
        raise ValueError(
            f"{size} training samples do not make a batch for each of {processes} processes, with data.batch_size "
            f"{batch_size} and data.drop_last {str(drop_last).lower()}: lower data.batch_size, set data.drop_last "
            "to false or use fewer processes"
        )
    sizes = np.full(whole * processes, batch_size)
    if drop_last or left == 0:
        return sizes
    rest = left // processes + (np.arange(processes) < left % processes)
    if whole and left < least * processes:
        sizes[-processes:] += rest
        return sizes
    return np.r_[sizes, rest]
