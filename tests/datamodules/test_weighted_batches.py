import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules import AsymmetricNoise, DigitsDataModule, LongTailed
from litzoo.datamodules.samplers import WEIGHTINGS, WeightedBatches
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

WEIGHTS = st.lists(st.floats(0.01, 100), min_size=2, max_size=8)


@settings(deadline=None)
@given(SIZES, WEIGHTS, BATCH_SIZES, PROCESSES, SEEDS, EPOCHS)
def test_each_class_has_its_fraction_of_every_epoch_within_one_sample(
    more, weights, batch_size, processes, seed, epoch
):
    size = processes + len(weights) + more
    classes = unsorted_classes(size, len(weights), seed)
    served = per_process(
        lambda **rank: WeightedBatches(classes, torch.tensor(weights), batch_size, **rank), processes, seed, epoch
    )
    positions = in_order(served)
    assert len(positions) == size
    mass = np.bincount(classes, minlength=len(weights)) * np.float32(weights).astype(float)
    found = np.bincount(classes[positions], minlength=len(weights))
    assert (np.abs(found - size * mass / mass.sum()) < 1 + 1e-6).all()


def served_of_each_class(more, weights, batch_size, processes, seed):
    """Draws classes, and returns for each of them its members and what all processes are served of it, in order."""
    classes = unsorted_classes(processes + len(weights) + more, len(weights), seed)
    served = in_order(
        per_process(lambda **rank: WeightedBatches(classes, torch.tensor(weights), batch_size, **rank), processes, seed)
    )
    return [(np.flatnonzero(classes == label), served[classes[served] == label]) for label in range(len(weights))]


@settings(deadline=None)
@given(SIZES, WEIGHTS, BATCH_SIZES, PROCESSES, SEEDS)
def test_within_a_class_each_sample_comes_as_often_within_one(more, weights, batch_size, processes, seed):
    for members, served in served_of_each_class(more, weights, batch_size, processes, seed):
        assert np.ptp([np.count_nonzero(served == member) for member in members]) <= 1


@settings(deadline=None)
@given(SIZES, WEIGHTS, BATCH_SIZES, PROCESSES, SEEDS)
def test_no_sample_comes_a_third_time_before_all_of_its_class_came_twice(more, weights, batch_size, processes, seed):
    for members, served in served_of_each_class(more, weights, batch_size, processes, seed):
        assert come_in_rounds(served, members)


@settings(deadline=None, max_examples=30)
@given(SIZES, BATCH_SIZES, PROCESSES, SEEDS, EPOCHS)
def test_the_order_is_the_same_for_any_number_of_processes(more, batch_size, processes, seed, epoch):
    classes, weights = unsorted_classes(processes + more, 3, seed), torch.tensor([1.0, 2.0, 5.0])

    def order(number):
        return in_order(
            per_process(lambda **rank: WeightedBatches(classes, weights, batch_size, **rank), number, seed, epoch)
        )

    assert np.array_equal(order(processes), order(1))


def test_a_class_without_weight_is_never_served():
    classes = torch.arange(60) % 3
    positions = np.concatenate(list(WeightedBatches(classes, torch.tensor([1.0, 0.0, 1.0]), 7)))
    assert np.bincount(classes[positions], minlength=3).tolist() == [30, 0, 30]


def test_classes_are_mixed_within_the_epoch():
    classes = torch.arange(400) % 4
    positions = np.concatenate(list(WeightedBatches(classes, torch.ones(4), 20)))
    quarters = [np.bincount(classes[quarter], minlength=4) for quarter in positions.reshape(4, 100)]
    assert np.min(quarters) > 10  # 25 expected, with a standard deviation of 4


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_training_serves_a_long_tail_in_proportion_to_size_times_weight(weighting):
    datamodule = DigitsDataModule(
        imbalance=LongTailed(10), sampling="weighted", class_weighting=weighting, effective_beta=0.99, batch_size=64
    )
    target = record(datamodule).column("train", "target")
    n = np.array(datamodule.class_counts, dtype=float)
    weights = {"inverse": 1 / n, "sqrt": n**-0.5, "effective": 0.01 / (1 - 0.99**n), "complement": 1 - n / n.sum()}
    expected = len(target) * n * weights[weighting] / (n * weights[weighting]).sum()
    assert len(target) == n.sum()
    assert np.abs(np.bincount(target, minlength=10) - expected).max() < 1 + 1e-3


def test_a_class_that_noise_leaves_without_a_label_is_refused_by_name():
    # Every 7 is labelled 1, and every 2 is labelled 7, as the digits' lookalikes say; nothing is labelled 2.
    datamodule = DigitsDataModule(label_noise=AsymmetricNoise(1.0), sampling="weighted")
    with pytest.raises(ValueError, match="'2'"):
        record(datamodule)
