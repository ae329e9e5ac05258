from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules import ClassCounts, DigitsDataModule, LongTailed, StepImbalance
from litzoo.datamodules.splits.classes import split_classes
from tests.datamodules.class_requests import ask, per_class, unsorted

properties = settings(deadline=None, max_examples=100)


def counts_of(imbalance, available, train_size=None, known=None):
    labels, known = unsorted(available), known or range(len(available))
    return per_class(labels, split_classes(labels, ask(known, train_size=train_size, imbalance=imbalance)).train, known)


@properties
@given(st.integers(2, 12), st.integers(50, 300), st.floats(1, 25))
def test_long_tailed_counts_equal_the_formula(classes, head, factor):
    counts = counts_of(LongTailed(factor), [300] * classes, {"per_class": head})
    assert (counts[0], counts[-1]) == (head, pytest.approx(head / factor, abs=0.5 + 1e-6))
    for position, count in enumerate(counts):
        assert count == pytest.approx(head * factor ** (-position / (classes - 1)), abs=0.5 + 1e-6)


@pytest.mark.parametrize(
    ("imbalance", "available", "train_size", "expected"),
    [
        (LongTailed(100), [500] * 3, None, [500, 50, 5]),
        (LongTailed(4), [10] * 3, {"per_class": 10}, [10, 5, 3]),  # 2.5: a half is rounded up
        (LongTailed(1), [7, 9, 8], None, [7, 7, 7]),
        (LongTailed(9), [90, 12, 90], None, [36, 12, 4]),  # the second class has no more to give
        (LongTailed(9), [90, 90, 90], 130, [90, 30, 10]),
        (LongTailed(4), [90, 90, 90], 10, [6, 3, 1]),  # 5.71, 2.86, 1.43: two left over, to the largest remainders
        (LongTailed(4), [90, 90, 90], 0.25, [39, 19, 10]),  # 68 of 270: 38.86, 19.43, 9.71
        (StepImbalance(10), [50] * 4, None, [50, 50, 5, 5]),
        (StepImbalance(4, 0.25), [50] * 4, {"per_class": 20}, [20, 20, 20, 5]),
        (StepImbalance(5, 0.67), [50] * 3, None, [50, 10, 10]),
        (StepImbalance(5), [50, 50, 5, 9], None, [25, 25, 5, 5]),
        (StepImbalance(3), [50] * 2, 40, [30, 10]),
        (ClassCounts([3, 1, 2]), [5, 5, 5], None, [3, 1, 2]),
        (ClassCounts({"class 2": 1}), [5, 6, 7], None, [5, 6, 1]),
    ],
)
def test_counts_by_hand(imbalance, available, train_size, expected):
    assert counts_of(imbalance, available, train_size) == expected


@properties
@given(st.lists(st.integers(30, 200), min_size=2, max_size=8), st.integers(1, 10), st.booleans())
def test_without_a_size_a_tail_is_as_large_as_the_classes_can_provide(available, factor, step):
    # Whole powers of the factor, so that the truth is a matter of fractions.
    steps = [int(2 * i >= len(available)) for i in range(len(available))] if step else [0] * (len(available) - 1) + [1]
    minority = Fraction(sum(steps), len(available))
    counts = counts_of(StepImbalance(factor, float(minority)), available)
    head = min(n * factor**power for n, power in zip(available, steps, strict=True))
    assert counts == [int(Fraction(head, factor**power) + Fraction(1, 2)) for power in steps]


@properties
@given(st.integers(2, 8), st.floats(1, 5), st.integers(60, 300), st.booleans())
def test_a_total_is_met_exactly_and_each_class_within_one(classes, factor, total, step):
    imbalance = StepImbalance(factor) if step else LongTailed(factor)
    counts = np.array(counts_of(imbalance, [300] * classes, total))
    exponents = (np.arange(classes) >= classes - round(classes / 2)) if step else np.arange(classes) / (classes - 1)
    shape = factor ** -exponents.astype(float)
    assert counts.sum() == total
    assert (np.abs(counts - shape / shape.sum() * total) < 1).all()


def test_the_order_of_known_classes_says_which_class_is_large():
    assert counts_of(LongTailed(100), [500] * 3, known=[2, 0, 1]) == [500, 50, 5]
    labels = unsorted([500] * 3)
    train = split_classes(labels, ask([2, 0, 1], imbalance=LongTailed(100))).train
    assert Counter(labels[train].tolist()) == {2: 500, 0: 50, 1: 5}


def test_explicit_counts_go_by_name_also_where_only_some_digits_are_known():
    datamodule = DigitsDataModule(known_classes=[7, 1, 5], imbalance=ClassCounts({7: 12, "5": 30}), val_size=0)
    datamodule.find_split()
    assert datamodule.class_counts == [12, (datamodule.read_labels() == 1).sum().item(), 30]


def test_a_digit_that_is_not_known_is_no_position_among_the_known_ones():
    with pytest.raises(ValueError, match="no class 1"):
        DigitsDataModule(known_classes=[7, 3, 5], imbalance=ClassCounts({1: 12})).find_split()


def test_rounded_down_sizes_are_those_of_the_long_tailed_cifar_benchmark():
    # int(5000 * 0.01 ** (i / 9)), as its code computes them.
    expected = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert counts_of(LongTailed(100, round_down=True), [5000] * 10) == expected
    assert counts_of(LongTailed(100), [5000] * 10) != expected
