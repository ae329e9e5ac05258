import numpy as np
import pytest
import torch

from tests.datamodules.recording import record
from tests.datamodules.sampling import come_in_rounds, in_order
from tests.two_processes.scenarios import TRAININGS, training_data

pytestmark = pytest.mark.slow


def columns(found, name, column, epoch, part=None):
    """Returns one entry of a training's batches, process by process and batch by batch."""
    batches = [process[name]["seen"]["train", epoch] for process in found]
    return [[(batch[part] if part else batch)[column].numpy() for batch in each] for each in batches]


def split_alone(name):
    datamodule = training_data(name)
    datamodule.setup("fit")
    return datamodule


def sizes_of(batches):
    return [[len(batch) for batch in process] for process in batches]


@pytest.mark.parametrize("name", TRAININGS)
def test_both_have_the_split_of_one_process(name, found):
    assert {process[name]["fingerprint"] for process in found} == {split_alone(name).fingerprint()}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("shuffle", [[16, 16, 16, 3], [16, 16, 16, 2]]),
        ("one left", [[16, 16, 17], [16, 16, 16]]),
        ("noisy", [[16, 16, 16, 3], [16, 16, 16, 2]]),
    ],
)
def test_together_they_train_on_every_sample_once_an_epoch(name, sizes, found):
    orders = []
    for epoch in (0, 1):
        index = columns(found, name, "index", epoch)
        assert sizes_of(index) == sizes
        orders.append(in_order(index).tolist())
        assert sorted(orders[-1]) == split_alone(name).split.train.tolist()
    assert orders[0] != orders[1]


def test_the_order_is_that_of_one_process(found):
    torch.manual_seed(5)
    alone = record(training_data("shuffle"), epochs=2)
    for epoch in (0, 1):
        together = in_order(columns(found, "shuffle", "index", epoch))
        assert together.tolist() == alone.column("train", "index", epoch).tolist()


def test_dropped_are_only_samples_that_make_no_whole_batch(found):
    index = columns(found, "drop_last", "index", 0)
    assert sizes_of(index) == [[16] * 3] * 2
    assert len(set(in_order(index).tolist())) == 96


def test_the_same_labels_are_wrong_in_both(found):
    datamodule = split_alone("noisy")
    labels = datamodule.read(train=True)[1]
    for epoch in (0, 1):
        names = ("index", "target", "clean_target")
        index, target, clean = (in_order(columns(found, "noisy", name, epoch)) for name in names)
        assert target.tolist() == datamodule.targets[index].tolist()
        assert clean.tolist() == labels[index].tolist()
        assert np.count_nonzero(target != clean) == round(0.3 * 101)


@pytest.mark.parametrize("sampling", ["weighted", "balanced"])
@pytest.mark.parametrize("epoch", [0, 1])
def test_class_fractions_are_as_asked_over_both(sampling, epoch, found):
    train = split_alone(sampling).split.train.numpy()
    target, index = (in_order(columns(found, sampling, name, epoch)) for name in ("target", "index"))
    assert len(target) == len(train)
    assert np.ptp(np.bincount(target, minlength=10)) <= 1  # the weights are the inverse of the sizes
    labels = split_alone(sampling).read(train=True)[1].numpy()[train]
    for label in range(10):
        often = [np.count_nonzero(index == each) for each in train[labels == label]]
        assert np.ptp(often) <= 1


def test_every_batch_of_both_is_balanced(found):
    batches = [batch for process in columns(found, "balanced", "target", 0) for batch in process]
    assert max(np.ptp(np.bincount(batch, minlength=10)) for batch in batches) <= 1


@pytest.mark.parametrize(
    ("name", "larger", "steps"),
    [("large pool", "unlabeled", 6), ("small pool", "labeled", 7)],  # 131 / (2 · 13) and 130 / (2 · 10), rounded up
)
@pytest.mark.parametrize("epoch", [0, 1])
def test_labeled_and_unlabeled_come_in_rounds_over_both(name, larger, steps, epoch, found):
    split = split_alone(name).split
    for part, option, members in [
        ("labeled", "batch_size", split.train),
        ("unlabeled", "unlabeled_batch_size", split.unlabeled),
    ]:
        index = columns(found, name, "index", epoch, part)
        assert sizes_of(index) == [[TRAININGS[name][option]] * steps] * 2
        assert come_in_rounds(in_order(index), members.numpy())
        assert part != larger or len(set(in_order(index).tolist())) == len(members)


def test_validation_sees_every_sample(found):
    seen = [batch["index"] for process in found for batch in process["shuffle"]["seen"]["val", 0]]
    assert sorted(set(torch.cat(seen).tolist())) == split_alone("shuffle").split.val.tolist()
