import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules.splits.core import proportional_counts, split_train_val


@st.composite
def requests(draw):
    """Targets of up to six classes, and sizes that fit them: `(targets, train_size, val_size, seed)`."""
    targets = draw(st.lists(st.integers(0, 5), min_size=1, max_size=120))
    val_size = draw(st.integers(0, len(targets) - 1))
    train_size = draw(st.integers(1, len(targets) - val_size))
    return torch.tensor(targets), train_size, val_size, draw(st.integers(0, 2**32 - 1))


@settings(deadline=None)
@given(requests(), st.booleans())
def test_parts_are_disjoint_sorted_and_of_exact_size(request_, as_floats):
    targets, train_size, val_size, seed = request_
    targets = targets.float() if as_floats else targets
    train, val, unlabeled = (part.tolist() for part in split_train_val(targets, train_size, val_size, seed))
    assert not unlabeled
    assert (len(train), len(val)) == (train_size, val_size)
    assert not set(train) & set(val)
    for part in (train, val):
        assert part == sorted(set(part))
        assert set(part) <= set(range(len(targets)))


@settings(deadline=None)
@given(requests())
def test_each_class_gets_its_fraction_within_one_sample(request_):
    targets, train_size, val_size, seed = request_
    split = split_train_val(targets, train_size, val_size, seed)
    left = np.delete(targets.numpy(), split.val.numpy())
    for pool, part in ((targets.numpy(), split.val), (left, split.train)):
        for label in np.unique(pool):
            exact = (pool == label).sum() * len(part) / len(pool)
            assert abs((targets[part] == label).sum().item() - exact) < 1


@settings(deadline=None)
@given(requests(), st.booleans())
def test_validation_does_not_move_with_train_size(request_, as_floats):
    targets, train_size, val_size, seed = request_
    targets = targets.float() if as_floats else targets
    val = split_train_val(targets, None, val_size, seed).val
    assert split_train_val(targets, train_size, val_size, seed).val.tolist() == val.tolist()


@settings(deadline=None)
@given(requests())
def test_without_train_size_nothing_is_left_over(request_):
    targets, _, val_size, seed = request_
    split = split_train_val(targets, None, val_size, seed)
    assert sorted(torch.cat(split).tolist()) == list(range(len(targets)))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=10), st.fractions(0, 1))
def test_fractions_add_up_and_are_within_one_of_the_exact_fraction(counts, fraction):
    size = int(sum(counts) * fraction)
    given_out = proportional_counts(np.array(counts), size).tolist()
    assert sum(given_out) == size
    for fraction, count in zip(given_out, counts, strict=True):
        assert 0 <= fraction <= count
        assert abs(fraction * sum(counts) - count * size) < max(sum(counts), 1)


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([50, 30, 20], 7, [4, 2, 1]),  # 3.5, 2.1, 1.4: the one left over goes to the largest remainder
        ([10, 30, 60], 13, [1, 4, 8]),  # 1.3, 3.9, 7.8
        ([1, 1, 1], 2, [1, 1, 0]),  # a tie goes to the first
        ([5, 0, 5], 10, [5, 0, 5]),
    ],
)
def test_what_is_left_over_goes_to_the_largest_remainders(counts, size, expected):
    assert proportional_counts(np.array(counts), size).tolist() == expected


@pytest.mark.parametrize("targets", [torch.arange(50) % 3, torch.arange(50).float()], ids=["classes", "values"])
def test_split_neither_reads_nor_moves_the_global_generators(targets):
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    splits = []
    for seed in (1, 2):
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
        before = states()
        splits.append(torch.cat(split_train_val(targets, 20, 10, seed=7)).tolist())
        assert states() == before
    assert splits[0] == splits[1]


@pytest.mark.parametrize("targets", [torch.arange(60) % 3, torch.arange(60).float()], ids=["classes", "values"])
def test_another_seed_gives_another_split_and_training_is_no_copy_of_the_validation_draw(targets):
    first, second = (split_train_val(targets, 20, 20, seed) for seed in (0, 1))
    assert first.val.tolist() != second.val.tolist()
    assert first.train.tolist() != second.train.tolist()


@pytest.mark.parametrize(
    ("train_size", "val_size", "sizes"),
    [(None, 0.1, (180, 20)), (0.5, 0.1, (90, 20)), (1.0, 0, (200, 0)), (1, 199, (1, 199)), (0.25, 40, (40, 40))],
)
def test_fractions_of_training_are_fractions_of_what_validation_leaves(train_size, val_size, sizes):
    split = split_train_val(torch.arange(200) % 10, train_size, val_size, seed=0)
    assert tuple(len(part) for part in split) == (*sizes, 0)


@pytest.mark.parametrize(
    ("train_size", "val_size", "words"),
    [
        (None, 101, ["val_size", "101", "100"]),
        (None, -1, ["val_size", "-1", "100"]),
        (None, 1.5, ["val_size", "1.5"]),
        (None, float("nan"), ["val_size", "nan"]),
        (61, 40, ["train_size", "61", "60"]),
        (-3, 0, ["train_size", "-3", "100"]),
        (50.5, 0, ["train_size", "50.5", "integer"]),
        (-0.5, 0, ["train_size", "-0.5"]),
        (0, 10, ["train_size 0", "val_size 10", "100"]),
        (None, 100, ["val_size 100", "no training sample", "100"]),
        (0.001, 0.1, ["train_size", "0.001", "90 samples"]),
    ],
)
@pytest.mark.parametrize("targets", [torch.arange(100) % 10, torch.arange(100).float()], ids=["classes", "values"])
def test_impossible_sizes_are_refused_with_the_numbers(targets, train_size, val_size, words):
    with pytest.raises(ValueError, match=r"train_size|val_size") as error:
        split_train_val(targets, train_size, val_size, seed=0)
    assert all(word in str(error.value) for word in words), error.value
