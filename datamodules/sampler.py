import os
from collections.abc import Iterator, Sized

import numpy as np
import torch
from torch.utils.data import RandomSampler


class EpochShuffle(RandomSampler):
    """Shuffles in an order that is a function of the run's seed and the epoch, whatever was drawn before.

    A resumed run thus sees the batches that an unbroken one sees. Lightning calls `set_epoch`, and puts its own
    `DistributedSampler` (which has the same property) in the place of this one when there are several processes.

    Args:
        data_source: The data set; only its length counts.
    """

    def __init__(self, data_source: Sized) -> None:
        super().__init__(data_source)
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed())) % 2**32
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.RandomState([self.seed, self.epoch]).permutation(len(self.data_source))
        return iter(order.tolist())
