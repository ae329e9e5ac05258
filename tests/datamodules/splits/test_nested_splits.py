"""Smaller training sets are subsets of larger ones."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datamodules.class_requests import SEEDS, ask, labels_and_known, split_if_possible

properties = settings(deadline=None, max_examples=60)


def train(labels, **asked):
    return set(split_if_possible(labels, ask(labels.unique().tolist(), **asked)).train.tolist())


@properties
@given(labels_and_known(), st.integers(1, 12), st.integers(0, 12), SEEDS)
def test_fewer_a_class_are_among_more_a_class(labels_and_known, few, more, seed):
    labels, _ = labels_and_known
    small, large = (train(labels, train_size={"per_class": n}, val_size=3, seed=seed) for n in (few, few + more))
    assert small <= large


@properties
@given(labels_and_known(), st.integers(6, 60), st.integers(0, 30), SEEDS)
def test_fewer_balanced_labels_are_among_more_of_them(labels_and_known, few, more, seed):
    labels, _ = labels_and_known
    small, large = (train(labels, num_labeled=n, val_size=3, seed=seed) for n in (few, few + more))
    assert small <= large


@properties
@given(labels_and_known(), st.integers(6, 80), st.integers(0, 30), SEEDS)
def test_of_each_class_the_smaller_training_set_is_among_the_larger_one_or_the_reverse(labels_and_known, n, more, seed):
    labels, _ = labels_and_known
    small, large = (train(labels, train_size=size, seed=seed) for size in (n, n + more))
    for label in labels.unique():
        before, now = ({index for index in part if labels[index] == label} for part in (small, large))
        assert before <= now or now <= before
