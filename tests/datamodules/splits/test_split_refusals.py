"""Invalid requests raise before training, with the conflicting numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules import (
    AsymmetricNoise,
    ClassCounts,
    DigitsDataModule,
    FashionMNISTDataModule,
    LongTailed,
    MatrixNoise,
    StepImbalance,
    SymmetricNoise,
)
from litzoo.datamodules.splits.classes import split_classes
from tests.datamodules.class_requests import ask, unsorted

KNOWN = {"known_classes": [1, 2], "num_labeled": 20}
SWAP = [[0.0, 1.0], [1.0, 0.0]]


def message_of(make):
    with pytest.raises(ValueError, match=r"\w") as error:
        make()
    return str(error.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SymmetricNoise(1.2), ["SymmetricNoise.rate", "1.2", "0 to 1"]),
        (lambda: SymmetricNoise(-0.1, keeps_some=True), ["SymmetricNoise.rate", "-0.1"]),
        (lambda: SymmetricNoise(float("nan")), ["SymmetricNoise.rate", "nan"]),
        (lambda: AsymmetricNoise(20), ["AsymmetricNoise.rate", "20"]),
        (lambda: MatrixNoise(SWAP, rate=1.01), ["MatrixNoise.rate", "1.01"]),
        (lambda: MatrixNoise([[0.7, 0.3], [0.3, 0.6]]), ["row 1", "[0.3, 0.6]", "0.9"]),
        (lambda: MatrixNoise([[1.5, -0.5], [0, 1]]), ["row 0", "[1.5, -0.5]", "[0, 1]"]),
        (lambda: MatrixNoise([[float("nan"), 1], [0, 1]]), ["row 0", "nan"]),
        (lambda: MatrixNoise([[1.0, 0.0]]), ["MatrixNoise.matrix", "1 rows", "square"]),
        (lambda: MatrixNoise([]), ["MatrixNoise.matrix", "0 rows"]),
        (lambda: LongTailed(0.5), ["LongTailed.factor", "0.5", "below 1"]),
        (lambda: LongTailed(float("inf")), ["LongTailed.factor", "inf"]),
        (lambda: LongTailed(float("nan")), ["LongTailed.factor", "nan"]),
        (lambda: StepImbalance(0.99), ["StepImbalance.factor", "0.99"]),
        (lambda: StepImbalance(2, minority=1), ["StepImbalance.minority", "1"]),
        (lambda: StepImbalance(2, minority=0.0), ["StepImbalance.minority", "0.0"]),
        (lambda: ClassCounts([3, 0, 4]), ["ClassCounts.sizes", "[3, 0, 4]", "at least 1"]),
        (lambda: ClassCounts({"1": -2}), ["ClassCounts.sizes", "-2"]),
    ],
)
def test_invalid_arguments_of_noise_and_imbalance_raise_at_construction(make, words):
    message = message_of(make)
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"known_classes": ["1", "eleven"]}, ["data.known_classes", "'eleven'", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"]),
        ({"known_classes": [3, 10]}, ["data.known_classes", "10"]),
        ({"known_classes": [-1, 3]}, ["data.known_classes", "-1"]),
        ({"known_classes": [3, 5, "3"]}, ["data.known_classes", "[3, 5, '3']", "twice"]),
        ({"known_classes": [3]}, ["data.known_classes", "[3]", "fewer than two classes"]),
        ({"known_classes": []}, ["data.known_classes", "[]"]),
        ({"noisy_val": True}, ["data.noisy_val", "data.label_noise"]),
        ({"unlabeled_batch_size": 8}, ["data.unlabeled_batch_size 8", "data.num_labeled None"]),
        ({"unlabeled_batch_size": 0, "num_labeled": 20}, ["data.unlabeled_batch_size 0", "data.num_labeled 20"]),
        (
            {"unlabeled_batch_size": 8, "num_labeled": 1.0, "balance_labeled": False},
            ["data.unlabeled_batch_size 8", "1294"],
        ),
        ({"train_size": 1295}, ["train_size", "1295", "1294"]),
        ({"train_size": 0}, ["train_size 0", "val_size 0.1", "1438"]),
        ({"train_size": 9}, ["train_size 9", "0 training samples", "each class needs at least one"]),
        ({"train_size": {"per_class": 200}}, ["'per_class': 200", "200 training samples of class '0'", "128"]),
        ({"train_size": {"per_class": -1}}, ["-1 training samples"]),
        ({"train_size": {"per_class": 2.5}}, ["train_size", "2.5"]),
        ({"train_size": {"each": 5}}, ["train_size", "{'each': 5}", "per_class: count"]),
        ({"train_size": {}}, ["train_size", "{}"]),
        ({"val_size": 1438}, ["val_size 1438", "no training sample"]),
        ({"val_size": 1430}, ["val_size 1430", "0 training samples of class"]),
        ({"known_classes": [1, 2], "val_size": 600}, ["val_size", "600", "288"]),
        ({"num_labeled": 1295}, ["num_labeled", "1295", "1294"]),
        ({"num_labeled": -3}, ["num_labeled", "-3"]),
        ({"num_labeled": 1.5}, ["num_labeled", "1.5"]),
        ({"num_labeled": 9}, ["num_labeled: 9 labels", "10 classes", "more"]),
        ({"num_labeled": 0}, ["num_labeled: 0 labels", "10 classes", "more"]),
        ({"num_labeled": 100, "imbalance": LongTailed(50)}, ["100 labels are 10 for class '6'", "9 training", "fewer"]),
        ({"unknown_unlabeled": 5, "num_labeled": 20}, ["data.unknown_unlabeled 5", "10 of 10", "data.known_classes"]),
        ({**KNOWN, "unknown_unlabeled": 5, "num_labeled": None}, ["data.unknown_unlabeled 5", "data.num_labeled None"]),
        ({**KNOWN, "unknown_unlabeled": 1151}, ["unknown_unlabeled", "1151", "only 1150", "0 to 1150"]),
        ({**KNOWN, "unknown_unlabeled": -3}, ["unknown_unlabeled", "-3", "at most 1150"]),
        ({**KNOWN, "unknown_unlabeled": 1.5}, ["unknown_unlabeled", "1.5", "[0, 1]"]),
        ({**KNOWN, "unknown_unlabeled": 1e-4}, ["unknown_unlabeled", "0.0001", "1150", "less than one"]),
        ({**KNOWN, "unknown_unlabeled": float("nan")}, ["unknown_unlabeled", "nan", "[0, 1]"]),
        ({**KNOWN, "unknown_unlabeled": "half"}, ["unknown_unlabeled", "'half'", "count"]),
        ({"imbalance": LongTailed(1000)}, ["LongTailed(factor=1000, ", "0 training samples of class '8'", "imbalance"]),
        ({"imbalance": LongTailed(10), "train_size": 1000}, ["1000", "LongTailed(factor=10, ", "'0'", "128"]),
        ({"imbalance": ClassCounts([5] * 9)}, ["imbalance: 9 class counts", "10 classes"]),
        ({"imbalance": ClassCounts([500] * 10)}, ["500 training samples of class '0'", "128", "sizes=[500"]),
        ({"imbalance": ClassCounts({"ten": 5})}, ["imbalance", "'ten'", "0, 1, 2"]),
        ({"imbalance": ClassCounts([5] * 10), "train_size": 50}, ["train_size", "50", "imbalance", "leave out one"]),
        ({"imbalance": ClassCounts([5] * 10), "train_size": {"per_class": 5}}, ["train_size", "5 a class"]),
        ({"label_noise": MatrixNoise(SWAP)}, ["MatrixNoise.matrix", "2 rows", "10 classes"]),
        ({"label_noise": AsymmetricNoise(0.2, {"0": "ten"})}, ["AsymmetricNoise.flips", "'ten'", "0, 1, 2"]),
        ({"label_noise": AsymmetricNoise(0.2), "known_classes": [0, 1]}, ["no lookalikes", "AsymmetricNoise.flips"]),
        ({"sampling": "sorted"}, ["data.sampling", "'sorted'", "shuffle, weighted, balanced"]),
    ],
)
def test_a_request_that_the_digits_cannot_satisfy_raises_with_the_numbers(options, words):
    message = message_of(lambda: DigitsDataModule(**options).find_split())
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label_noise": AsymmetricNoise(0.2, {1: 7}), "known_classes": [3, 5, 7]}, ["1", "3, 5, 7"]),
        ({"label_noise": AsymmetricNoise(0.6, {3: 5, "3": 8})}, ["AsymmetricNoise.flips", "3"]),
        ({"imbalance": ClassCounts({3: 5, "3": 8})}, ["imbalance", "3"]),
        ({"imbalance": StepImbalance(10, minority=0.04)}, ["0.04", "10"]),
        ({"imbalance": StepImbalance(10, minority=0.97)}, ["0.97", "10"]),
    ],
    ids=["digit that is not known", "flip named twice", "count named twice", "no class is small", "no class is large"],
)
def test_a_request_that_would_silently_mean_something_else_is_refused(options, words):
    message = message_of(lambda: DigitsDataModule(**options).find_split())
    assert [word for word in words if word not in message] == [], message


def test_a_class_taken_for_itself_under_its_other_name_is_refused(tiny_data):
    noise = AsymmetricNoise(0.5, {0: "T-shirt/top"})
    message = message_of(lambda: FashionMNISTDataModule(root=str(tiny_data), label_noise=noise).find_split())
    assert "itself" in message


def test_a_class_without_any_sample_is_refused_by_name():
    message = message_of(lambda: split_classes(torch.tensor([0, 2] * 9), ask()))
    assert "0 training samples of class 'class 1'" in message


@pytest.mark.parametrize("balance", [True, False])
def test_the_suggested_fix_for_too_few_labels_works(balance):
    labels = unsorted([40, 20, 2])
    message = message_of(lambda: split_classes(labels, ask(num_labeled=2, balance_labeled=balance)))
    assert "more" in message
    assert "balance_labeled" not in message  # two labels are too few for three classes either way


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=5).filter(any), st.integers(1, 20), st.integers(1, 60))
def test_a_request_is_refused_exactly_where_some_class_has_too_few(counts, head, labeled):
    labels, known = unsorted(counts), range(len(counts))
    asked = ask(known, 0, {"per_class": head}, num_labeled=labeled)
    if head <= min(counts) and len(counts) <= labeled <= head * len(counts):
        assert len(split_classes(labels, asked).train) == labeled
    else:
        message_of(lambda: split_classes(labels, asked))
