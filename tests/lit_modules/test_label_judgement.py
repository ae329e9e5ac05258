"""The judgement of labels, on predictions whose truth is known."""

import numpy as np
import pytest
import torch

from litzoo.datamodules.splits.label_noise import AsymmetricNoise, SymmetricNoise, corrupt
from litzoo.lit_modules.label_judgement import judge_labels, pair_counts, true_class_probabilities
from litzoo.lit_modules.noise_matrix import class_confidence, confident_counts, estimate_noise_matrix

NAMES = [str(label) for label in range(5)]
SAMPLES = 3000


def draw(noise=None, ambiguous=0.0, seed=0):
    """Predictions of a calibrated model trained on noisy labels: p = π T, with a little spread.

    A fraction of the samples lies between two classes; their clean label is drawn from their probabilities π.
    """
    random = np.random.RandomState(seed)
    main = random.randint(5, size=SAMPLES)
    second = (main + 1) % 5
    weight = np.where(random.rand(SAMPLES) < ambiguous, random.uniform(0.3, 0.7, SAMPLES), 0.01)
    true = np.zeros((SAMPLES, 5))
    true[np.arange(SAMPLES), main] = 1 - weight
    true[np.arange(SAMPLES), second] = weight
    clean = torch.from_numpy(np.where(random.rand(SAMPLES) < weight, second, main))
    transitions = np.eye(5) if noise is None else noise.transitions(NAMES, {})
    given = corrupt(clean, transitions, seed=seed, part=0)
    predicted = random.normal(true @ transitions, 0.02).clip(1e-3)
    return torch.tensor(predicted / predicted.sum(1, keepdims=True), dtype=torch.float32), given, clean, transitions


NOISE = {
    "clean": None,
    "symmetric 5 %": SymmetricNoise(0.05),
    "symmetric 20 %": SymmetricNoise(0.2),
    "asymmetric 40 %": AsymmetricNoise(0.4, {"0": "1", "2": "4"}),
}


@pytest.mark.parametrize("ambiguous", [0.0, 0.2])
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_about_as_many_labels_are_flagged_as_are_wrong(noise, ambiguous):
    probabilities, given, clean, _ = draw(noise, ambiguous)
    judgement, wrong = judge_labels(probabilities, given), given != clean
    flagged = judgement.wrong > 0.5
    # Labels of samples between two classes are not wrong, and cannot all be told from those that are.
    assert int(flagged.sum()) == pytest.approx(int(wrong.sum()), rel=0.25, abs=0.01 * SAMPLES)
    if wrong.any():
        hits = flagged & wrong
        assert hits.sum() > 0.75 * wrong.sum()
        # At most 0.6 of the labels of samples between two classes can be guessed.
        assert (judgement.suggested[hits] == clean[hits]).float().mean() > (0.85 if ambiguous else 0.97)
    assert torch.equal(pair_counts(given, judgement).sum(dim=1), torch.bincount(given[flagged], minlength=5))


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_the_noise_matrix_is_recovered(noise):
    probabilities, given, _, transitions = draw(noise, ambiguous=0.2)
    assert estimate_noise_matrix(probabilities, given).numpy() == pytest.approx(transitions, abs=0.06)


def test_confident_counts_by_hand():
    # Both classes have a mean self-confidence of 0.7. Samples 0 to 5 are taken for class 0, of which 0.55 lies below
    # 0.9 times their median of 0.8.
    first = torch.tensor([0.8, 0.8, 0.8, 0.85, 0.9, 0.55, 0.1, 0.1, 0.1, 0.1, 0.1])
    probabilities = torch.stack([first, 1 - first], dim=1)
    given = torch.tensor([0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 0])
    assert confident_counts(probabilities, given).tolist() == [[4, 1], [1, 4]]
    expected = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
    torch.testing.assert_close(estimate_noise_matrix(probabilities, given), expected)


def test_a_class_that_is_hardly_predicted_gets_a_row_of_the_identity():
    probabilities = torch.tensor([[0.9, 0.05, 0.05]] * 9 + [[0.05, 0.9, 0.05]] * 4)
    given = torch.tensor([0] * 8 + [1] * 5)
    matrix = estimate_noise_matrix(probabilities, given)
    assert matrix[1:].tolist() == torch.eye(3)[1:].tolist()
    assert class_confidence(probabilities, given)[2] == 1  # no sample is labelled so


def test_a_rare_class_that_no_sample_is_predicted_as_attracts_no_label():
    """Its mean probability is so small that the probabilities of others exceed it by chance."""
    generator = torch.Generator().manual_seed(0)
    first = torch.cat([torch.full((140,), 0.95), torch.full((156,), 0.05), torch.rand(4, generator=generator)])
    rare = torch.rand(300, generator=generator) * 0.04
    rare[-4:] = 0.001
    probabilities = torch.stack([first * (1 - rare), (1 - first) * (1 - rare), rare], dim=1)
    given = torch.tensor([0] * 140 + [1] * 156 + [2] * 4)
    judgement = judge_labels(probabilities, given)
    assert judgement.noise_matrix[2].tolist() == [0, 0, 1]
    assert not (judgement.suggested[judgement.wrong > 0.5] == 2).any()
    assert len(torch.nonzero(judgement.wrong > 0.5)) <= 4


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_true_class_probabilities_invert_the_noise(noise):
    transitions = np.eye(5) if noise is None else noise.transitions(NAMES, {})
    true = np.random.RandomState(0).dirichlet([0.5] * 5, 300)
    noisy = torch.tensor(true @ transitions, dtype=torch.float32)
    found = true_class_probabilities(noisy, torch.tensor(transitions))
    assert np.abs(found.numpy() - true).mean() < 0.02


def test_probabilities_of_zero_and_one_give_finite_results():
    judgement = judge_labels(torch.eye(3).repeat(10, 1), torch.arange(30) % 3)
    assert not (judgement.wrong > 0.5).any()
    other = judge_labels(torch.eye(3).repeat(10, 1), (torch.arange(30) % 3).roll(1))
    for values in (*judgement[:4], *other[:4]):
        assert values.isfinite().all()
