"""Hypothesis strategies for requests of a split by class."""

import numpy as np
import torch
from hypothesis import reject
from hypothesis import strategies as st

from litzoo.datamodules import ClassCounts, LongTailed, StepImbalance
from litzoo.datamodules.splits.classes import ClassRequest, split_classes
from litzoo.datamodules.splits.core import Split

SEEDS = st.integers(0, 2**32 - 1)


def ask(
    known=(0, 1, 2),
    val_size=0,
    train_size=None,
    imbalance=None,
    num_labeled=None,
    balance_labeled=True,
    unknown_unlabeled=0,
    seed=0,
):
    names = [f"class {label}" for label in known]
    labels = (num_labeled, balance_labeled, unknown_unlabeled)
    return ClassRequest(list(known), names, val_size, train_size, imbalance, *labels, seed)


def unsorted(counts, seed=0):
    """Shuffled labels with the given counts."""
    return torch.from_numpy(np.random.RandomState(seed).permutation(np.repeat(np.arange(len(counts)), counts)))


def split_if_possible(labels, request) -> Split:
    """Splits, or rejects the example if the request is invalid; separate tests check which requests are."""
    try:
        return split_classes(labels, request)
    except ValueError:
        reject()


def per_class(labels, part, known):
    """Counts the samples of each known class in a part one by one."""
    return [sum(labels[index].item() == label for index in part.tolist()) for label in known]


@st.composite
def labels_and_known(draw):
    """Unsorted labels of two to six classes of different sizes, and at least two of the classes in any order."""
    counts = draw(st.lists(st.integers(4, 30), min_size=2, max_size=6))
    known = draw(st.lists(st.integers(0, len(counts) - 1), min_size=2, max_size=len(counts), unique=True))
    return unsorted(counts, draw(st.integers(0, 99))), known


@st.composite
def requests(draw):
    """Labels and a request that combines all options of the split; most of these requests are valid."""
    labels, known = draw(labels_and_known())
    imbalance = draw(
        st.none()
        | st.builds(LongTailed, st.floats(1, 8))
        | st.builds(StepImbalance, st.floats(1, 4), st.sampled_from([0.34, 0.5, 0.6]))
        | st.builds(ClassCounts, st.lists(st.integers(1, 4), min_size=len(known), max_size=len(known)))
    )
    sizes = st.integers(2, 60) | st.floats(0.3, 1) | st.builds(lambda head: {"per_class": head}, st.integers(1, 12))
    request = ask(
        known,
        val_size=draw(st.integers(0, 10) | st.floats(0, 0.5)),
        train_size=None if isinstance(imbalance, ClassCounts) else draw(st.none() | sizes),
        imbalance=imbalance,
        num_labeled=draw(st.none() | st.integers(2, 30) | st.floats(0.3, 1)),
        balance_labeled=draw(st.booleans()),
        seed=draw(SEEDS),
    )
    return labels, request
