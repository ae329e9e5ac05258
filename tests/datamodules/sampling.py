"""Collects the batches that samplers serve, per process and of all processes together."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import strategies as st

SIZES = st.integers(1, 120)
BATCH_SIZES = st.integers(1, 40)
PROCESSES = st.integers(1, 5)
SEEDS = st.integers(0, 2**32 - 1)
EPOCHS = st.integers(0, 1000)


def per_process(make: Callable, processes: int, seed: int = 0, epoch: int = 0) -> list[list[np.ndarray]]:
    """Returns the batches of each process; `make(num_replicas=, rank=)` makes its sampler."""
    served = []
    for rank in range(processes):
        torch.manual_seed(seed)
        sampler = make(num_replicas=processes, rank=rank)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(sampler) == len(batches)
        served.append(batches)
    assert len({len(batches) for batches in served}) == 1, "a process would wait for the last batch of the others"
    return served


def in_order(served: list[list[np.ndarray]]) -> np.ndarray:
    """Returns the indices of all processes, ordered by step and within a step by rank."""
    return np.concatenate([batch for step in zip(*served, strict=True) for batch in step])


def come_in_rounds(sequence: np.ndarray, members: np.ndarray) -> bool:
    """Whether the sequence consists of passes, each with every member at most once."""
    rounds = [sequence[start : start + len(members)].tolist() for start in range(0, len(sequence), len(members))]
    once = all(len(set(each)) == len(each) and set(each) <= set(members.tolist()) for each in rounds)
    return once and all(len(each) == len(members) for each in rounds[:-1])


def unsorted_classes(size: int, classes: int, seed: int) -> torch.Tensor:
    """Draws an imbalanced class for each sample; each class has one at least if there are enough samples."""
    random = np.random.RandomState(seed)
    imbalanced = random.dirichlet(np.ones(classes) / 2)
    drawn = np.r_[np.arange(classes), random.choice(classes, size, p=imbalanced)][:size]
    return torch.from_numpy(random.permutation(drawn))
