import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.datamodules import AsymmetricNoise, CIFAR10DataModule, FashionMNISTDataModule, MatrixNoise, MNISTDataModule
from litzoo.datamodules import SymmetricNoise as Symmetric
from litzoo.datamodules.splits.label_noise import corrupt
from tests.datamodules.class_requests import SEEDS, unsorted

properties = settings(deadline=None, max_examples=100)
COUNTS = st.lists(st.integers(0, 60), min_size=2, max_size=7).filter(any)
RATES = st.floats(0, 1) | st.sampled_from([0, 0.1, 0.2, 0.4, 0.5, 0.8, 1])


def cells(labels, noise, classes, lookalikes=None, seed=0):
    """How many samples of each class (row) were given each label (column), counted one by one."""
    names = [str(label) for label in range(classes)]
    given_out = corrupt(labels, noise.transitions(names, lookalikes or {}), seed, part=3)
    found = np.zeros((classes, classes), dtype=int)
    for true, label in zip(labels.tolist(), given_out.tolist(), strict=True):
        found[true, label] += 1
    return found


def check(found, counts, exact):
    """Cells, classes and their sum are the exact ones `[K, K]`, rounded."""
    wrong, exact_wrong = found - np.diag(found.diagonal()), exact - np.diag(exact.diagonal())
    total = exact_wrong.sum()
    halves = {math.floor(total + 0.5 - 1e-9), math.floor(total + 0.5 + 1e-9)}  # a half may go either way
    assert wrong.sum() in halves
    assert found.sum(axis=1).tolist() == list(counts)
    assert (np.abs(wrong.sum(axis=1) - exact_wrong.sum(axis=1)) < 1).all()
    assert (np.abs(wrong - exact_wrong) < 1).all()
    assert not wrong[exact_wrong == 0].any()


@properties
@given(COUNTS, RATES, st.booleans(), SEEDS)
def test_symmetric_noise_is_exact_in_all_in_each_class_and_in_each_cell(counts, rate, keeps_some, seed):
    classes = len(counts)
    found = cells(unsorted(counts), Symmetric(rate, keeps_some), classes, seed=seed)
    other = rate / classes if keeps_some else rate / (classes - 1)
    check(found, counts, np.array(counts)[:, None] * np.full((classes, classes), other))


@pytest.mark.parametrize("size", [15, 45])
def test_how_a_half_sample_is_rounded_is_no_matter_of_the_number_of_classes(size):
    found = [cells(torch.arange(size) % classes, Symmetric(0.1), classes) for classes in (2, 3, 5, 10)]
    assert [cell.sum() - cell.trace() for cell in found] == [round(0.1 * size)] * 4


@properties
@given(COUNTS, RATES, st.data(), SEEDS)
def test_asymmetric_noise_is_exact_and_touches_no_other_class(counts, rate, data, seed):
    label = st.integers(0, len(counts) - 1)
    flips = data.draw(st.dictionaries(label, label, min_size=1))
    flips = {name: other for name, other in flips.items() if name != other} or {0: 1}
    exact = np.zeros((len(counts), len(counts)))
    for name, other in flips.items():
        exact[name, other] = counts[name] * rate
    check(cells(unsorted(counts), AsymmetricNoise(rate, flips), len(counts), seed=seed), counts, exact)


@properties
@given(COUNTS, st.sampled_from([0.1, 0.25, 0.5, 1]), st.data(), SEEDS)
def test_matrix_noise_is_exact_in_all_in_each_class_and_in_each_cell(counts, rate, data, seed):
    classes = len(counts)
    row = st.lists(st.integers(0, 9), min_size=classes, max_size=classes).filter(any)
    weights = np.array([data.draw(row) for _ in counts], dtype=float)
    matrix = weights / weights.sum(axis=1, keepdims=True)
    found = cells(unsorted(counts), MatrixNoise(matrix.tolist(), rate), classes, seed=seed)
    check(found, counts, np.array(counts)[:, None] * matrix * rate)


def test_a_label_gets_its_fraction_of_each_class_also_where_that_class_was_rounded_up():
    # Of ten classes of 21, a tenth is wrong: 2.1 each, 21 in all, so that one class has 3. Of the 2.1, four fifths
    # belong to the next class, which is 1.68: one or two, and never all three.
    matrix = np.zeros((10, 10))
    for label in range(10):
        matrix[label, [label, (label + 1) % 10, (label + 2) % 10, (label + 3) % 10]] = [0.9, 0.08, 0.01, 0.01]
    found = cells(unsorted([21] * 10), MatrixNoise(matrix.tolist()), 10)
    assert found.sum() - found.trace() == 21
    assert {int(found[label, (label + 1) % 10]) for label in range(10)} <= {1, 2}


@pytest.mark.parametrize(
    ("noise", "wrong"),
    [
        (Symmetric(0.2), 20),
        (Symmetric(0.2, keeps_some=True), 18),  # of ten classes: a tenth of those drawn anew come out right
        (Symmetric(1), 100),
        (Symmetric(1, keeps_some=True), 90),
        (Symmetric(0), 0),
        (AsymmetricNoise(0.4), 20),  # five of ten classes
        (AsymmetricNoise(0.4, {"0": 1}), 4),
        (MatrixNoise([[0.1] * 10] * 10), 90),
        (MatrixNoise([[0.1] * 10] * 10, rate=0.5), 45),
    ],
)
def test_what_the_rate_counts(noise, wrong):
    found = cells(unsorted([10] * 10), noise, 10, MNISTDataModule.lookalikes)
    assert found.sum() - found.trace() == wrong


@pytest.mark.parametrize(
    ("datamodule", "pairs"),
    [
        (MNISTDataModule, "2→7 3→8 5→6 6→5 7→1"),
        (CIFAR10DataModule, "9→1 2→0 4→7 3→5 5→3"),
        (FashionMNISTDataModule, "0→6 6→0 2→4 4→2 5→7 9→7"),
    ],
)
def test_lookalikes_of_each_data_set(datamodule, pairs):
    transitions = AsymmetricNoise(0.3).transitions(datamodule.class_names, datamodule.lookalikes)
    expected = np.eye(10)
    for pair in pairs.split():
        name, other = map(int, pair.split("→"))
        expected[name, [name, other]] = [0.7, 0.3]
    assert transitions == pytest.approx(expected)


def test_lookalikes_with_a_class_that_is_not_known_are_left_out():
    transitions = AsymmetricNoise(0.3).transitions(["7", "3", "1", "2"], MNISTDataModule.lookalikes)
    assert transitions == pytest.approx(np.array([[0.7, 0, 0.3, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.3, 0, 0, 0.7]]))


def test_the_noise_is_a_function_of_the_seed_and_not_of_the_global_generators():
    labels, transitions = unsorted([50] * 4), Symmetric(0.5).transitions("abcd", {})
    torch.manual_seed(1), np.random.seed(1)
    first = corrupt(labels, transitions, seed=7, part=3)
    state = torch.get_rng_state().tolist(), str(np.random.get_state())
    torch.rand(3), np.random.rand(3)
    assert torch.equal(corrupt(labels, transitions, seed=7, part=3), first)
    for seed, part in ((8, 3), (7, 4)):
        assert not torch.equal(corrupt(labels, transitions, seed=seed, part=part), first)
    torch.manual_seed(1), np.random.seed(1)
    corrupt(labels, transitions, seed=7, part=3)
    assert (torch.get_rng_state().tolist(), str(np.random.get_state())) == state


def test_which_samples_are_wrong_is_no_matter_of_their_place():
    # Of each class a half: were the first or the last ones chosen, no wrong label would stand in the other half.
    labels = torch.arange(1000) % 2
    wrong = corrupt(labels, Symmetric(0.5).transitions("ab", {}), seed=0, part=3) != labels
    assert 200 < wrong[:500].sum() < 300
