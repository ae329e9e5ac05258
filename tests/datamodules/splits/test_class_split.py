from collections import Counter
from itertools import chain

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules.splits.classes import split_classes
from tests.datamodules.class_requests import SEEDS, ask, labels_and_known, per_class, requests, split_if_possible

properties = settings(deadline=None, max_examples=60)


def count(size, available):
    return round(size * available) if isinstance(size, float) else size


@properties
@given(requests())
def test_parts_are_disjoint_sorted_and_of_known_classes(request_):
    labels, asked = request_
    parts = [part.tolist() for part in split_if_possible(labels, asked)]
    assert max(Counter(chain(*parts)).values()) == 1
    for part in parts:
        assert part == sorted(part)
        assert {labels[index].item() for index in part} <= set(asked.known)


@properties
@given(requests())
def test_sizes_are_exact(request_):
    labels, asked = request_
    split = split_if_possible(labels, asked)
    known = sum(per_class(labels, torch.arange(len(labels)), asked.known))
    left = known - len(split.val)
    whole = len(split.train) + len(split.unlabeled)
    assert len(split.val) == count(asked.val_size, known)
    if isinstance(asked.train_size, dict):
        head = asked.train_size["per_class"]
        each = per_class(labels, torch.cat([split.train, split.unlabeled]), asked.known)
        assert max(each) == head
        assert asked.imbalance is not None or each == [head] * len(asked.known)
    elif asked.train_size is not None:
        assert whole == count(asked.train_size, left)
    elif asked.imbalance is None:
        assert whole == left
    assert len(split.train) == (whole if asked.num_labeled is None else count(asked.num_labeled, whole))


@properties
@given(requests())
def test_each_class_gets_its_fraction_of_each_part_within_one_sample(request_):
    labels, asked = request_
    split = split_if_possible(labels, asked)
    everything = np.array(per_class(labels, torch.arange(len(labels)), asked.known))
    val = np.array(per_class(labels, split.val, asked.known))
    whole = np.array(per_class(labels, torch.cat([split.train, split.unlabeled]), asked.known))
    train = np.array(per_class(labels, split.train, asked.known))
    assert (np.abs(val - everything * val.sum() / everything.sum()) < 1).all()
    if asked.imbalance is None and not isinstance(asked.train_size, dict):
        left = everything - val
        assert (np.abs(whole - left * whole.sum() / left.sum()) < 1).all()
    if asked.num_labeled is not None and asked.balance_labeled:
        assert train.max() - train.min() <= 1
    elif asked.num_labeled is not None:
        assert (np.abs(train - whole * train.sum() / whole.sum()) < 1).all()
    assert train.min() >= 1


@properties
@given(requests(), requests())
def test_validation_does_not_move_with_what_is_asked_of_training(request_, other):
    labels, asked = request_
    val = split_if_possible(labels, asked).val
    assert torch.equal(split_classes(labels, ask(asked.known, asked.val_size, seed=asked.seed)).val, val)
    moved = asked._replace(
        train_size=other[1].train_size,
        imbalance=None,
        num_labeled=other[1].num_labeled,
        balance_labeled=other[1].balance_labeled,
    )
    assert torch.equal(split_if_possible(labels, moved).val, val)


@properties
@given(labels_and_known(), st.floats(0, 0.5), SEEDS)
def test_leaving_classes_out_keeps_the_validation_samples_of_the_others_within_one(labels_and_known, fraction, seed):
    labels, known = labels_and_known
    every = split_if_possible(labels, ask(labels.unique().tolist(), fraction, seed=seed)).val
    some = split_if_possible(labels, ask(known, fraction, seed=seed)).val
    for label in known:
        before, now = (set(part[labels[part] == label].tolist()) for part in (every, some))
        assert before <= now or now <= before
        assert abs(len(before) - len(now)) <= 1


@properties
@given(requests(), st.randoms(use_true_random=False))
def test_the_order_of_the_known_classes_moves_no_sample(request_, random):
    labels, asked = request_
    asked = asked._replace(imbalance=None)  # there the order says which class is large
    split = split_if_possible(labels, asked)
    again = split_classes(labels, asked._replace(known=random.sample(asked.known, len(asked.known))))
    assert all(torch.equal(one, other) for one, other in zip(split, again, strict=True))


@properties
@given(requests())
def test_labels_and_pool_together_are_the_training_set_without_num_labeled(request_):
    labels, asked = request_
    split = split_if_possible(labels, asked)
    whole = split_classes(labels, asked._replace(num_labeled=None))
    assert sorted([*split.train.tolist(), *split.unlabeled.tolist()]) == whole.train.tolist()
    assert not len(whole.unlabeled)


@properties
@given(requests())
def test_equal_requests_give_equal_splits_and_other_seeds_others(request_):
    labels, asked = request_
    asked = asked._replace(num_labeled=None, imbalance=None, train_size={"per_class": 2}, val_size=0)
    split, again = split_if_possible(labels, asked), split_classes(labels, asked)
    assert all(torch.equal(one, other) for one, other in zip(split, again, strict=True))
    seeds = [split_classes(labels, asked._replace(seed=seed)).train.tolist() for seed in range(20)]
    assert len({tuple(train) for train in seeds}) > 1
