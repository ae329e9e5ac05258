import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules.samplers import EpochBatches, EvaluationBatches
from tests.datamodules.sampling import (
    BATCH_SIZES,
    EPOCHS,
    PROCESSES,
    SEEDS,
    SIZES,
    come_in_rounds,
    in_order,
    per_process,
)


@settings(deadline=None)
@given(SIZES, BATCH_SIZES, PROCESSES, SEEDS, EPOCHS)
def test_all_processes_together_serve_each_sample_once(more, batch_size, processes, seed, epoch):
    size = processes - 1 + more
    served = per_process(lambda **rank: EpochBatches(size, batch_size, **rank), processes, seed, epoch)
    assert sorted(in_order(served)) == list(range(size))
    sizes = np.array([[len(batch) for batch in batches] for batches in served]).T
    assert (sizes[:-1] == batch_size).all()
    assert 1 <= sizes[-1].min() <= sizes[-1].max() <= batch_size + 1
    assert np.ptp(sizes[-1]) <= 1
    # A step more than needed would be one of batches that are too small.
    assert len(sizes) in (-(-size // (batch_size * processes)), size // (batch_size * processes))


@settings(deadline=None)
@given(SIZES, BATCH_SIZES, PROCESSES, SEEDS)
def test_no_process_gets_a_single_sample_where_batch_norm_needs_two(more, batch_size, processes, seed):
    size = processes - 1 + more
    served = per_process(lambda **rank: EpochBatches(size, batch_size, least=2, **rank), processes, seed)
    assert sorted(in_order(served)) == list(range(size))
    sizes = np.array([[len(batch) for batch in batches] for batches in served]).T
    assert (sizes[:-1] == batch_size).all()
    if size >= batch_size * processes:  # else there is no batch before
        assert sizes[-1].min() >= min(2, batch_size)
    assert sizes[-1].max() <= batch_size + 2
    assert np.ptp(sizes[-1]) <= 1
    usual = per_process(lambda **rank: EpochBatches(size, batch_size, **rank), processes, seed)
    if min(len(batches[-1]) for batches in usual) >= min(2, batch_size):
        assert in_order(usual).tolist() == in_order(served).tolist()
        assert [len(batches) for batches in usual] == [len(batches) for batches in served]


@settings(deadline=None)
@given(st.integers(1, 5), BATCH_SIZES, PROCESSES, st.integers(0, 1000), SEEDS)
def test_drop_last_leaves_whole_batches_of_different_samples(steps, batch_size, processes, left, seed):
    per_step = batch_size * processes
    size = steps * per_step + left % per_step
    served = per_process(lambda **rank: EpochBatches(size, batch_size, drop_last=True, **rank), processes, seed)
    assert [[len(batch) for batch in batches] for batches in served] == [[batch_size] * steps] * processes
    assert len(set(in_order(served).tolist())) == steps * per_step


@settings(deadline=None)
@given(SIZES, BATCH_SIZES, PROCESSES, st.integers(1, 12), st.booleans(), SEEDS)
def test_as_many_steps_as_asked_are_filled_in_rounds(size, batch_size, processes, steps, drop_last, seed):
    def sampler(**rank):
        return EpochBatches(size, batch_size, drop_last, steps, **rank)

    served = per_process(sampler, processes, seed)
    assert [[len(batch) for batch in batches] for batches in served] == [[batch_size] * steps] * processes
    assert come_in_rounds(in_order(served), np.arange(size))


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"size": 2, "batch_size": 5, "num_replicas": 3}, ["2 training samples", "3 processes", "fewer processes"]),
        ({"size": 6, "batch_size": 7, "drop_last": True}, ["6 training samples", "batch_size 7", "drop_last to false"]),
        (
            {"size": 9, "batch_size": 5, "num_replicas": 2, "drop_last": True},
            ["9 training samples", "batch_size 5", "2 processes", "lower"],
        ),
        ({"size": 0, "batch_size": 5}, ["0 training samples"]),
    ],
    ids=["more processes than samples", "no whole batch", "no whole batch for two", "nothing"],
)
def test_too_few_samples_for_a_batch_raise_with_the_numbers(options, numbers):
    with pytest.raises(ValueError, match="do not make a batch") as error:
        EpochBatches(**options)
    assert [number for number in numbers if number not in str(error.value)] == []


@settings(deadline=None)
@given(st.integers(1, 200), BATCH_SIZES, PROCESSES)
def test_evaluation_serves_each_sample_once_in_equally_many_batches(size, batch_size, processes):
    samplers = [EvaluationBatches(size, batch_size, processes, rank) for rank in range(processes)]
    served = [list(sampler) for sampler in samplers]
    assert len({len(batches) for batches in served}) == 1
    counted = [
        index for sampler, batches in zip(samplers, served, strict=True) if not sampler.repeats for index in batches
    ]
    assert sorted(np.concatenate(counted).tolist()) == list(range(size))
    assert all(len(batch) for batches in served for batch in batches)
    assert any(sampler.repeats for sampler in samplers) == (size < processes)


def test_evaluation_in_one_process_is_in_order():
    assert [batch.tolist() for batch in EvaluationBatches(5, 2)] == [[0, 1], [2, 3], [4]]
