"""Samples of unknown classes in the unlabeled pool."""

from collections import Counter
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules import UNKNOWN, ClassCounts, DigitsDataModule, MNISTDataModule, SymmetricNoise
from litzoo.datamodules.splits.classes import split_classes
from tests.datamodules.class_requests import SEEDS, ask, labels_and_known, split_if_possible, unsorted
from tests.datamodules.recording import record

properties = settings(deadline=None, max_examples=60)
SOME_UNKNOWN = labels_and_known().filter(lambda drawn: len(drawn[1]) < len(drawn[0].unique()))
SIZES = st.integers(1, 60) | st.floats(0.2, 1)
POOL = {"known_classes": [7, 1, 4], "num_labeled": 12, "val_size": 5}


def unknown_in(part, labels, known):
    """The positions of unknown classes in a part, looked at one by one."""
    return [index for index in part.tolist() if labels[index].item() not in known]


@properties
@given(SOME_UNKNOWN, SIZES, SEEDS)
def test_they_join_the_pool_in_exact_number_and_nothing_else_moves(labels_and_known, size, seed):
    labels, known = labels_and_known
    asked = ask(known, val_size=0.2, num_labeled=len(known), seed=seed)
    without, split = split_classes(labels, asked), split_if_possible(labels, asked._replace(unknown_unlabeled=size))
    there = unknown_in(torch.arange(len(labels)), labels, known)
    joined = unknown_in(split.unlabeled, labels, known)
    assert len(set(joined)) == len(joined) == (round(size * len(there)) if isinstance(size, float) else size)
    assert split.unlabeled.tolist() == sorted([*without.unlabeled.tolist(), *joined])
    assert torch.equal(split.train, without.train)
    assert torch.equal(split.val, without.val)


@properties
@given(SOME_UNKNOWN, SIZES, SEEDS)
def test_each_unknown_class_gets_its_fraction_within_one_sample(labels_and_known, size, seed):
    labels, known = labels_and_known
    split = split_if_possible(labels, ask(known, num_labeled=len(known), unknown_unlabeled=size, seed=seed))
    there = Counter(labels[unknown_in(torch.arange(len(labels)), labels, known)].tolist())
    joined = Counter(labels[unknown_in(split.unlabeled, labels, known)].tolist())
    for label, count in there.items():
        assert abs(joined[label] - count * joined.total() / there.total()) < 1


@properties
@given(SOME_UNKNOWN, st.integers(1, 40), st.integers(0, 20), SEEDS)
def test_of_each_class_a_smaller_request_is_contained_in_a_larger_one(labels_and_known, few, more, seed):
    labels, known = labels_and_known
    asked = ask(known, num_labeled=len(known), seed=seed)
    small, large = (
        split_if_possible(labels, asked._replace(unknown_unlabeled=size)).unlabeled for size in (few, few + more)
    )
    for label in set(labels.tolist()) - set(known):
        before, now = ({index for index in part.tolist() if labels[index] == label} for part in (small, large))
        assert before <= now or now <= before


@pytest.mark.parametrize(
    "other",
    [
        {"val_size": 0.3},
        {"train_size": {"per_class": 9}},
        {"imbalance": ClassCounts([5, 9, 7])},
        {"num_labeled": 20},
        {"num_labeled": 20, "balance_labeled": False},
        {"known": [4, 0, 2]},
    ],
    ids=lambda other: ", ".join(other),
)
def test_which_ones_depends_on_no_other_option(other):
    labels = unsorted([20, 30, 25, 40, 15])
    asked = {"known": [0, 2, 4], "num_labeled": 3, "unknown_unlabeled": 21, "seed": 8}
    plain, changed = (split_classes(labels, ask(**options)).unlabeled for options in (asked, asked | other))
    assert unknown_in(plain, labels, [0, 2, 4]) == unknown_in(changed, labels, [0, 2, 4])
    assert Counter(labels[unknown_in(plain, labels, [0, 2, 4])].tolist()) == {1: 9, 3: 12}


def test_a_class_that_becomes_known_does_not_move_the_others():
    labels = unsorted([20, 30, 25, 40])
    three, two = ({"known": known, "num_labeled": 9, "unknown_unlabeled": 0.4} for known in ([0, 1], [0, 1, 2]))
    drawn = [split_classes(labels, ask(**asked)).unlabeled for asked in (three, two)]
    threes = [[index for index in part.tolist() if labels[index] == 3] for part in drawn]
    assert threes[0] == threes[1]
    assert len(threes[0]) == 16


def test_the_seed_decides_which():
    labels = unsorted([20, 20, 20])
    drawn = [split_classes(labels, ask([0, 1], num_labeled=2, unknown_unlabeled=5, seed=seed)) for seed in (0, 0, 1)]
    first, again, other = (unknown_in(split.unlabeled, labels, [0, 1]) for split in drawn)
    assert first == again != other


@pytest.fixture(params=["digits", "mnist"])
def pool(request, tiny_data):
    """Makes a datamodule of either with 12 labeled samples of three classes."""
    files = {"digits": DigitsDataModule, "mnist": partial(MNISTDataModule, root=str(tiny_data))}
    return partial(files[request.param], **POOL)


@pytest.mark.parametrize("options", [{}, {"label_noise": SymmetricNoise(0.5), "noisy_val": True}], ids=["", "noise"])
def test_batches_of_the_pool_hold_them_as_unknown_and_no_others_do(pool, options):
    datamodule = pool(unknown_unlabeled=17, unlabeled_batch_size=9, **options)
    recorder = record(datamodule)
    labels = datamodule.read_labels()
    index, hidden = (recorder.column("train", name, part="unlabeled") for name in ("index", "clean_target"))
    true = [(7, 1, 4).index(label) if label in (7, 1, 4) else UNKNOWN for label in labels[index].tolist()]
    assert hidden.tolist() == true
    assert len(set(index[hidden == UNKNOWN].tolist())) == 17
    for seen in (recorder.column("train", "target", part="labeled"), recorder.column("val", "target")):
        assert set(seen.tolist()) == {0, 1, 2}
    served = [batch["index"] for batch in datamodule.evaluation_batches("unlabeled", torch.device("cpu"))]
    assert set(torch.cat(served).tolist()) == set(index.tolist())


def test_all_of_them_can_be_asked_for_and_a_pool_of_nothing_else(pool):
    datamodule = pool(num_labeled=1.0, balance_labeled=False, unknown_unlabeled=1.0, unlabeled_batch_size=9)
    datamodule.setup("fit")
    labels = datamodule.read_labels()
    assert datamodule.split.unlabeled.tolist() == unknown_in(torch.arange(len(labels)), labels, [7, 1, 4])


def test_the_report_counts_them_beside_those_of_the_test_set(pool):
    datamodule = pool(unknown_unlabeled=17)
    datamodule.setup("fit")
    assert datamodule.split_report()["unknown"] == {"unlabeled": 17}
    datamodule.setup("test")
    report, labels = datamodule.split_report(), datamodule.read(train=False)[1].tolist()
    assert report["unknown"] == {"unlabeled": 17, "test": sum(label not in (7, 1, 4) for label in labels)}
    assert report["sizes"]["unlabeled"] == sum(report["per_class"]["unlabeled"]) + 17


@pytest.mark.parametrize("none", [0, 0.0])
def test_none_is_as_if_the_option_was_not_there(pool, none):
    without, zero = pool(), pool(unknown_unlabeled=none)
    for datamodule in (without, zero):
        datamodule.setup("fit")
    assert zero.fingerprint() == without.fingerprint()
    assert "unknown" not in zero.split_report()
