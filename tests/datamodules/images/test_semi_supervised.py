from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from litzoo.datamodules import LongTailed
from tests.datamodules.recording import Recorder, quiet_trainer, record, with_pool
from tests.datamodules.sampling import come_in_rounds


@pytest.fixture
def pool(tiny_data):
    """Makes datamodules with 20 validation, 20 labeled and 60 unlabeled samples, served 4 and 12 a batch."""
    return partial(with_pool, tiny_data)


def labels_of_file(root, index):
    content = np.fromfile(Path(root) / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.uint8)[8:]
    return torch.from_numpy(content)[index].long()


@pytest.mark.parametrize(
    ("batch_size", "unlabeled_batch_size", "steps", "seen_once"),
    [
        (4, 12, 5, ["labeled", "unlabeled"]),
        (10, 12, 5, ["unlabeled"]),
        (64, 20, 3, ["unlabeled"]),
        (2, 30, 10, ["labeled"]),
        (2, 64, 10, ["labeled"]),
    ],
    ids=["as long", "more labels", "a batch of more than all labels", "less labels", "a batch of more than the pool"],
)
def test_an_epoch_serves_the_larger_part_once_and_the_other_in_reshuffled_passes(
    pool, batch_size, unlabeled_batch_size, steps, seen_once
):
    datamodule = pool(batch_size=batch_size, unlabeled_batch_size=unlabeled_batch_size)
    recorder = record(datamodule, epochs=2)
    for epoch in (0, 1):
        sizes = [(len(b["labeled"]["index"]), len(b["unlabeled"]["index"])) for b in recorder.seen["train", epoch]]
        assert sizes == [(batch_size, unlabeled_batch_size)] * steps
        for part, members in [("labeled", datamodule.split.train), ("unlabeled", datamodule.split.unlabeled)]:
            index = recorder.column("train", "index", epoch, part).numpy()
            assert come_in_rounds(index, members.numpy())
            assert (len(index) == len(members)) == (part in seen_once)


def test_the_larger_part_is_seen_whole_when_batches_do_not_divide_it(pool):
    datamodule = pool(unlabeled_batch_size=25)
    index = record(datamodule).column("train", "index", part="unlabeled")
    assert len(index) == 5 * 25
    assert set(index.tolist()) == set(datamodule.split.unlabeled.tolist())


def test_repeated_labels_are_reshuffled(pool):
    index = record(pool(batch_size=20)).column("train", "index", part="labeled").reshape(5, 20)
    assert len({tuple(cycle.tolist()) for cycle in index}) == 5


def test_parts_are_disjoint_and_the_pool_has_no_label_but_the_hidden_one(pool, tiny_data):
    datamodule = pool()
    recorder = record(datamodule)
    for batch in recorder.seen["train", 0]:
        assert set(batch) == {"labeled", "unlabeled"}
        assert set(batch["labeled"]) == {"input", "target", "index"}
        assert set(batch["unlabeled"]) == {"weak", "strong", "index", "clean_target"}
    labeled, unlabeled = (recorder.column("train", "index", part=part) for part in ("labeled", "unlabeled"))
    parts = [set(part.tolist()) for part in (labeled, unlabeled, recorder.column("val", "index"))]
    assert [len(part) for part in parts] == [20, 60, 20]
    assert set.union(*parts) == set(range(100))
    assert torch.equal(recorder.column("train", "target", part="labeled"), labels_of_file(tiny_data, labeled))
    hidden = recorder.column("train", "clean_target", part="unlabeled")
    assert torch.equal(hidden, labels_of_file(tiny_data, unlabeled))


def test_hidden_classes_are_counted_as_the_known_ones_are(pool, tiny_data):
    recorder = record(pool(known_classes=["7", "1", "4"], val_size=6, num_labeled=6))
    hidden = recorder.column("train", "clean_target", part="unlabeled")
    label = labels_of_file(tiny_data, recorder.column("train", "index", part="unlabeled"))
    assert torch.equal(torch.tensor([7, 1, 4])[hidden], label)


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_evaluation_is_that_of_the_labeled_run(pool, stage):
    name = {"validate": "val"}.get(stage, stage)
    columns = [record(pool(**options), stage).column(name, "input") for options in ({}, {"unlabeled_batch_size": None})]
    assert torch.equal(*columns)


def test_epochs_have_orders_of_seed_and_epoch_alone(pool):
    orders = []
    for seed, drawn in [(1, 0), (1, 7), (2, 0)]:
        torch.manual_seed(seed)
        recorder = Recorder()
        torch.rand(drawn)
        quiet_trainer(Path.cwd(), epochs=2).fit(recorder, datamodule=pool())
        orders.append(
            [
                tuple(recorder.column("train", "index", epoch, part).tolist())
                for part in ("labeled", "unlabeled")
                for epoch in (0, 1)
            ]
        )
    assert orders[0] == orders[1]
    assert len(set(orders[0] + orders[2])) == 8


def test_a_resumed_run_sees_the_batches_of_an_unbroken_one(pool):
    torch.manual_seed(5)
    unbroken = record(pool(batch_size=10), epochs=2)

    torch.manual_seed(5)
    trainer = quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=pool(batch_size=10))
    trainer.save_checkpoint("first.ckpt")
    torch.manual_seed(5)
    resumed = record(pool(batch_size=10), epochs=2, ckpt_path="first.ckpt", weights_only=True)

    assert ("train", 0) not in resumed.seen
    for part in ("labeled", "unlabeled"):
        indices = [recorder.column("train", "index", 1, part) for recorder in (resumed, unbroken)]
        assert torch.equal(*indices)


def test_without_a_batch_size_for_the_pool_only_labeled_samples_are_served(pool):
    datamodule = pool(unlabeled_batch_size=None)
    recorder = record(datamodule)
    assert sorted(recorder.column("train", "index").tolist()) == datamodule.split.train.tolist()
    assert set(recorder.seen["train", 0][0]) == {"input", "target", "index"}
    assert len(datamodule.split.unlabeled) == 60


@pytest.mark.parametrize("sampling", ["weighted", "balanced"])
def test_labels_are_sampled_as_asked_beside_the_pool(pool, sampling):
    datamodule = pool(imbalance=LongTailed(4), balance_labeled=False, num_labeled=20, batch_size=10, sampling=sampling)
    recorder = record(datamodule)
    assert np.ptp(datamodule.class_counts) > 1
    assert np.ptp(np.bincount(recorder.column("train", "target", part="labeled"), minlength=10)) <= 1


def test_an_incomplete_batch_is_dropped_only_where_there_is_one(pool):
    # Labeled samples are repeated until the batch is full, so that there is no incomplete batch to drop.
    recorder = record(pool(batch_size=64, drop_last=True))
    assert {len(batch["labeled"]["index"]) for batch in recorder.seen["train", 0]} == {64}


def test_overfitting_sees_the_same_few_batches_of_both_parts_in_every_epoch(pool):
    recorder = record(pool(), epochs=2, trainer={"overfit_batches": 2})
    for part, size in [("labeled", 8), ("unlabeled", 24)]:
        first, second = (recorder.column("train", "index", epoch, part) for epoch in (0, 1))
        assert len(first) == size
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"unlabeled_batch_size": 0}, ["data.unlabeled_batch_size 0", "at least 1"]),
        ({"num_labeled": None}, ["data.unlabeled_batch_size 12", "data.num_labeled None"]),
        ({"num_labeled": 80}, ["data.unlabeled_batch_size 12", "data.num_labeled 80", "lower num_labeled"]),
    ],
    ids=["no sample a batch", "all labeled unasked", "all labeled as asked"],
)
def test_a_pool_that_cannot_be_served_is_refused_with_the_numbers(pool, options, numbers):
    with pytest.raises(ValueError, match="unlabeled_batch_size") as error:
        pool(**options).setup("fit")
    assert [number for number in numbers if number not in str(error.value)] == []
