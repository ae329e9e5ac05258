import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from litzoo.datamodules.splits.core import rounded_fractions


class EpochBatches(DistributedSampler[np.ndarray]):
    """Batches of positions, in an order that is a function of the run's seed and the epoch, whatever was drawn before.

    A resumed run thus sees the batches that an unbroken one sees. Several processes share the batches of one order: no
    sample is lost and none comes twice (torch's own sampler repeats samples until the processes have equally many).
    When the last batch has fewer samples than there are processes, they join the batch before.

    Lightning leaves a `DistributedSampler` as it is, and calls `set_epoch`. Serve with `batch_size=None`: a position
    here is a whole batch.

    Args:
        size: Samples in the data set.
        batch_size: Of each process.
        drop_last: Whether an incomplete last batch is left out.
        steps: Batches of each process; the samples come round again until they are full. One pass when left out.
        stream: Keeps the orders of two loaders of a run apart.
        num_replicas: Number of processes.
        rank: Of this process.

    Raises:
        ValueError: If there are fewer samples than processes, or `drop_last` leaves no batch.
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
    ) -> None:
        super().__init__(range(size), num_replicas, rank)  # type: ignore[arg-type]
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed())) % 2**32
        self.size = size
        self.stream = [stream] if stream else []
        self.sizes = _batch_sizes(size, batch_size, drop_last, steps, num_replicas)

    def __len__(self) -> int:
        """Returns the number of batches of this process."""
        return len(self.sizes) // self.num_replicas

    def __iter__(self) -> Iterator[np.ndarray]:
        """Serves this process's batches of positions, int64 `[B]` each."""
        ends = np.cumsum(self.sizes)
        order = self.order(np.random.RandomState([self.seed, self.epoch, *self.stream]), int(ends[-1]))
        for number in range(self.rank, len(ends), self.num_replicas):
            yield order[ends[number] - self.sizes[number] : ends[number]]

    def order(self, random: np.random.RandomState, total: int) -> np.ndarray:
        """Returns the positions of all batches of all processes, one after the other, int64 `[total]`."""
        return rounds(random, np.arange(self.size), total)


class WeightedBatches(EpochBatches):
    """Serves each class as often as its weight asks for, as many samples in an epoch as there are.

    Like torch's `WeightedRandomSampler` with the weight of each sample's class, but not left to luck: a class has its
    fraction of every epoch within one sample, and its samples come in shuffled rounds, so that none comes a third time
    before all others of its class have come twice.

    Args:
        classes: The class of each sample, int64 `[n]`, in any order.
        weights: Of a sample of each class `[K]`.
        batch_size: Of each process.
        **options: See `EpochBatches`.
    """

    def __init__(self, classes: Tensor, weights: Tensor, batch_size: int, **options: Any) -> None:
        super().__init__(len(classes), batch_size, **options)
        self.members = [np.flatnonzero(classes.numpy() == label) for label in range(len(weights))]
        mass = weights.double().numpy() * [len(positions) for positions in self.members]
        self.class_fractions = mass / mass.sum()

    def order(self, random: np.random.RandomState, total: int) -> np.ndarray:
        """Returns the shuffled positions of all batches, int64 `[total]`."""
        counts = rounded_fractions(self.class_fractions * total, total)
        labels = np.repeat(np.arange(len(self.members)), counts)
        random.shuffle(labels)
        return fill(random, labels, self.members)


class BalancedBatches(EpochBatches):
    """Serves batches in which every class has as many samples, within one.

    Args:
        classes: The class of each sample, int64 `[n]`, in any order; each class has one at least.
        batch_size: Of each process. One smaller than the number of classes holds each class at most once.
        **options: See `EpochBatches`.
    """

    def __init__(self, classes: Tensor, batch_size: int, **options: Any) -> None:
        super().__init__(len(classes), batch_size, **options)
        labels = classes.numpy()
        self.members = [np.flatnonzero(labels == label) for label in np.unique(labels)]

    def order(self, random: np.random.RandomState, total: int) -> np.ndarray:
        """Returns the positions of all batches, each batch's shuffled, int64 `[total]`."""
        classes = len(self.members)
        labels = np.arange(total) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)  # places in their batch
        left = labels >= np.repeat(self.sizes - self.sizes % classes, self.sizes)
        labels %= classes
        # What does not divide goes to classes that take turns, none of them twice in a batch.
        labels[left] = self._turns(random, self.sizes % classes)
        for size in np.unique(self.sizes).tolist():
            of_size = np.repeat(self.sizes == size, self.sizes)
            batches = labels[of_size].reshape(-1, size)
            shuffled = np.argsort(random.random_sample(batches.shape), axis=1)
            labels[of_size] = np.take_along_axis(batches, shuffled, axis=1).ravel()
        return fill(random, labels, self.members)

    def _turns(self, random: np.random.RandomState, extras: np.ndarray) -> np.ndarray:
        """Returns classes for what is left over of each batch: all have had a turn before one has another."""
        classes = len(self.members)
        turns: list[int] = []
        waiting: list[int] = []
        for extra in extras.tolist():
            if len(waiting) < extra:
                following = random.permutation(classes).tolist()
                waiting += sorted(following, key=waiting.__contains__)  # those still waiting come last
            turns += waiting[:extra]
            del waiting[:extra]
        return np.array(turns, dtype=np.int64)


def fill(random: np.random.RandomState, labels: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """Puts a sample of its class at the place of each label; the samples of a class come in shuffled rounds."""
    counts = np.bincount(labels, minlength=len(members)).tolist()
    order = np.empty(len(labels), dtype=np.int64)
    short = labels.astype(np.min_scalar_type(len(members)))  # numbers of one or two bytes are sorted ten times as fast
    by_class = np.argsort(short, kind="stable")
    order[by_class] = np.concatenate([rounds(random, *pair) for pair in zip(members, counts, strict=True)])
    return order


def rounds(random: np.random.RandomState, positions: np.ndarray, total: int) -> np.ndarray:
    """Shuffles positions again and again, and returns the first `total`: none is repeated before all had their turn."""
    passes = -(-total // max(len(positions), 1))
    drawn = [random.permutation(positions) for _ in range(passes)]
    return np.concatenate(drawn)[:total] if drawn else positions[:0]


def _batch_sizes(size: int, batch_size: int, drop_last: bool, steps: int | None, processes: int) -> np.ndarray:
    """Returns the size of each batch, step by step and within a step process by process."""
    whole, left = divmod(size, batch_size * processes)
    if steps is not None:
        whole, left = steps, 0
    if whole == 0 and (drop_last or left < processes):
        raise ValueError(
            f"{size} training samples do not make a batch for each of {processes} processes, with data.batch_size "
            f"{batch_size} and data.drop_last {str(drop_last).lower()}: lower data.batch_size, set data.drop_last "
            "false or use fewer processes"
        )
    sizes = np.full(whole * processes, batch_size)
    if drop_last or left == 0:
        return sizes
    if left < processes:
        sizes[len(sizes) - processes : len(sizes) - processes + left] += 1
        return sizes
    return np.r_[sizes, left // processes + (np.arange(processes) < left % processes)]
