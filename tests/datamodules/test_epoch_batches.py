from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from litzoo.datamodules import DigitsDataModule
from litzoo.datamodules.samplers import EpochBatches
from tests.datamodules.recording import Recorder, quiet_trainer, record
from tests.datamodules.sampling import (
    BATCH_SIZES,
    EPOCHS,
    PROCESSES,
    SEEDS,
    SIZES,
    in_order,
    per_process,
)


def order(seed, epoch, size=50, drawn=0):
    torch.manual_seed(seed)
    torch.rand(drawn), np.random.rand(drawn)
    sampler = EpochBatches(size, 7)
    torch.rand(drawn), np.random.rand(drawn)
    sampler.set_epoch(epoch)
    return np.concatenate(list(sampler)).tolist()


def digits():
    return DigitsDataModule(train_size=90, val_size=20, batch_size=32)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**40, -1])
@pytest.mark.parametrize("epoch", [0, 1, 1000])
def test_each_sample_comes_once_in_an_order_of_seed_and_epoch(seed, epoch):
    assert sorted(order(seed, epoch)) == list(range(50))
    assert order(seed, epoch) == order(seed, epoch, drawn=5)


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = [tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)]
    assert len(set(orders)) == len(orders)


def test_a_second_pass_over_the_same_epoch_is_the_same():
    sampler = EpochBatches(20, 6)
    assert [batch.tolist() for batch in sampler] == [batch.tolist() for batch in sampler]
    assert len(sampler) == 4


def test_the_global_generators_are_not_moved():
    sampler = EpochBatches(20, 6)
    before = torch.get_rng_state(), str(np.random.get_state())
    list(sampler)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == str(np.random.get_state())


@settings(deadline=None)
@given(SIZES, BATCH_SIZES, PROCESSES, SEEDS, EPOCHS)
def test_the_order_is_the_same_for_any_number_of_processes(more, batch_size, processes, seed, epoch):
    size = processes - 1 + more
    served = per_process(lambda **rank: EpochBatches(size, batch_size, **rank), processes, seed, epoch)
    assert in_order(served).tolist() == order(seed, epoch, size)


def test_rounds_within_an_epoch_have_orders_of_their_own():
    positions = np.concatenate(list(EpochBatches(30, 30, steps=4)))
    assert len({tuple(each) for each in positions.reshape(4, 30).tolist()}) == 4


def test_streams_keep_two_loaders_of_a_run_apart():
    orders = [np.concatenate(list(EpochBatches(50, 7, stream=stream))).tolist() for stream in (0, 1, 2)]
    assert len(set(map(tuple, orders))) == 3


def test_the_runs_seed_counts_whatever_a_process_has_seeded(monkeypatch):
    expected = order(8, epoch=3)
    monkeypatch.setenv("PL_GLOBAL_SEED", "8")
    assert order(9, epoch=3) == order(10, epoch=3) == expected


def test_lightning_moves_on_to_the_next_epochs_order():
    torch.manual_seed(5)
    datamodule = digits()
    recorder = record(datamodule, epochs=3)
    for epoch in range(3):
        expected = datamodule.split.train[order(5, epoch, 90)]
        assert torch.equal(recorder.column("train", "index", epoch), expected)


def test_a_resumed_run_sees_the_batches_of_an_unbroken_one():
    torch.manual_seed(5)
    unbroken = record(digits(), epochs=2)

    torch.manual_seed(5)
    first, trainer = Recorder(), quiet_trainer(Path.cwd())
    trainer.fit(first, datamodule=digits())
    trainer.save_checkpoint("first.ckpt")
    torch.manual_seed(5)
    resumed = record(digits(), epochs=2, ckpt_path="first.ckpt", weights_only=True)

    assert ("train", 0) not in resumed.seen
    assert torch.equal(resumed.column("train", "index", 1), unbroken.column("train", "index", 1))
