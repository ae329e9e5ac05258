import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules import DigitsDataModule, LongTailed
from litzoo.datamodules.samplers import BalancedBatches
from tests.datamodules.recording import record
from tests.datamodules.sampling import (
    BATCH_SIZES,
    EPOCHS,
    PROCESSES,
    SEEDS,
    SIZES,
    come_in_rounds,
    in_order,
    per_process,
    unsorted_classes,
)

CLASSES = st.integers(2, 12)


@settings(deadline=None)
@given(SIZES, CLASSES, BATCH_SIZES, PROCESSES, SEEDS, EPOCHS)
def test_every_batch_of_every_process_has_as_many_of_each_class_within_one(
    more, classes, batch_size, processes, seed, epoch
):
    labels = unsorted_classes(processes + classes + more, classes, seed)
    served = per_process(lambda **rank: BalancedBatches(labels, batch_size, **rank), processes, seed, epoch)
    for batch in (batch for batches in served for batch in batches):
        counts = np.bincount(labels[batch], minlength=classes)
        assert np.ptp(counts) <= 1
        assert len(batch) >= classes or counts.max() == 1
    assert len(in_order(served)) == len(labels)


@settings(deadline=None)
@given(SIZES, CLASSES, BATCH_SIZES, PROCESSES, SEEDS)
def test_a_class_that_misses_out_in_one_batch_has_its_turn_in_the_next(more, classes, batch_size, processes, seed):
    labels = unsorted_classes(processes + classes + more, classes, seed)
    served = per_process(lambda **rank: BalancedBatches(labels, batch_size, **rank), processes, seed)
    so_far = np.zeros(classes, dtype=int)
    for step in zip(*served, strict=True):
        for batch in step:
            so_far += np.bincount(labels[batch], minlength=classes)
            assert np.ptp(so_far) <= 1


@settings(deadline=None)
@given(SIZES, CLASSES, BATCH_SIZES, PROCESSES, SEEDS)
def test_the_samples_of_a_class_come_in_rounds(more, classes, batch_size, processes, seed):
    labels = unsorted_classes(processes + classes + more, classes, seed)
    positions = in_order(per_process(lambda **rank: BalancedBatches(labels, batch_size, **rank), processes, seed))
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        assert come_in_rounds(positions[np.isin(positions, members)], members)


@settings(deadline=None, max_examples=30)
@given(SIZES, BATCH_SIZES, PROCESSES, st.integers(1, 5), SEEDS)
def test_as_many_steps_as_asked_are_balanced_too(more, batch_size, processes, steps, seed):
    labels = unsorted_classes(4 + more, 4, seed)
    served = per_process(lambda **rank: BalancedBatches(labels, batch_size, steps=steps, **rank), processes, seed)
    batches = [batch for batches in served for batch in batches]
    assert [len(batch) for batch in batches] == [batch_size] * (steps * processes)
    assert max(np.ptp(np.bincount(labels[batch], minlength=4)) for batch in batches) <= 1


def test_order_is_a_function_of_seed_and_epoch():
    labels = unsorted_classes(90, 5, seed=1)

    def order(seed, epoch):
        return tuple(in_order(per_process(lambda **rank: BalancedBatches(labels, 8, **rank), 1, seed, epoch)))

    assert order(3, 4) == order(3, 4)
    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


def test_the_classes_of_a_batch_come_in_no_fixed_order():
    labels = torch.arange(100) % 4
    firsts = [int(labels[batch[0]]) for batch in BalancedBatches(labels, 4)]
    assert set(firsts) == {0, 1, 2, 3}


@pytest.mark.parametrize("batch_size", [4, 10, 25])
def test_training_on_a_long_tail_sees_balanced_batches_and_every_sample_of_the_tail(batch_size):
    datamodule = DigitsDataModule(imbalance=LongTailed(20), sampling="balanced", batch_size=batch_size)
    recorder = record(datamodule, epochs=2)
    for epoch in (0, 1):
        for batch in recorder.seen["train", epoch]:
            assert np.ptp(np.bincount(batch["target"], minlength=10)) <= 1
        target = recorder.column("train", "target", epoch)
        assert len(target) == sum(datamodule.class_counts)
        assert np.ptp(np.bincount(target)) <= 1
        tail = datamodule.split.train[datamodule.targets[datamodule.split.train] == 9]
        assert torch.isin(tail, recorder.column("train", "index", epoch)).all()
