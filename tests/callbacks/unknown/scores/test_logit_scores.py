"""Scores that read only logits, against the formulas of the papers in numpy and scipy, and by hand."""

from math import e, log

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from scipy.stats import entropy

from litzoo.callbacks.unknown.scores import Energy, Entropy, Evidence, GeneralizedEntropy, MaxLogit, MaxSoftmax

NO_FEATURES = torch.empty(0)


def generalized_entropy(z, gamma, top):
    p = np.sort(softmax(z))[::-1][:top]
    return sum(p**gamma * (1 - p) ** gamma)


FORMULAS = [
    (MaxSoftmax(), lambda z: 1 - softmax(z).max()),
    (MaxLogit(), lambda z: -z.max()),
    (Energy(), lambda z: -logsumexp(z)),
    (Energy(5.0), lambda z: -5 * logsumexp(z / 5)),
    (Entropy(), lambda z: entropy(softmax(z))),
    (GeneralizedEntropy(), lambda z: generalized_entropy(z, 0.1, 100)),
    (GeneralizedEntropy(0.5, 2), lambda z: generalized_entropy(z, 0.5, 2)),
    (GeneralizedEntropy(0.3, 1), lambda z: generalized_entropy(z, 0.3, 1)),
]
# The softmax of the logits is (1/4, 3/4).
BY_HAND = [
    (MaxSoftmax(), 1 / 4),
    (MaxLogit(), -1 - log(3)),
    (Energy(), -1 - log(4)),
    (Entropy(), log(4) - 3 / 4 * log(3)),
    (GeneralizedEntropy(0.5), 3**0.5 / 2),
]


def scores_of(score, logits):
    return score(Evidence(torch.as_tensor(logits), NO_FEATURES))


@pytest.mark.parametrize(("score", "formula"), FORMULAS)
@pytest.mark.parametrize("classes", [1, 2, 7])
def test_scores_are_those_of_the_papers(score, formula, classes):
    logits = np.random.RandomState(0).randn(50, classes) * 3
    logits[:5] = logits[:5, :1]  # all classes equal
    expected = [formula(z) for z in logits]
    assert scores_of(score, logits).numpy() == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize(("score", "expected"), BY_HAND)
def test_by_hand(score, expected):
    assert scores_of(score, [[1.0, 1 + log(3)]]).item() == pytest.approx(expected, rel=1e-6)


def test_energy_at_a_low_temperature_is_max_logit():
    logits = torch.randn(20, 5)
    torch.testing.assert_close(scores_of(Energy(1e-4), logits), scores_of(MaxLogit(), logits), rtol=0, atol=1e-3)


@pytest.mark.parametrize("score", [MaxSoftmax(), GeneralizedEntropy()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_confident_samples_have_different_scores_where_the_softmax_is_1(score, dtype):
    margins = torch.arange(20, 700, 10, dtype=dtype)
    logits = torch.stack([margins, torch.zeros_like(margins)], dim=1)
    assert (logits[2:].softmax(dim=1).amax(dim=1) == 1).all()
    scores = scores_of(score, logits)
    assert (scores.diff() < 0).all()
    expected = -margins.double() if isinstance(score, MaxSoftmax) else log(2) - 0.1 * margins.double()
    torch.testing.assert_close(scores.log(), expected)


def test_a_threshold_of_0_2_is_a_confidence_of_0_8():
    scores = scores_of(MaxSoftmax(), [[log(0.79), log(0.21)], [log(0.81), log(0.19)]])
    assert (scores > 1 - 0.8).tolist() == [True, False]
    assert scores_of(MaxSoftmax(), [[0.0] * 4]).item() == pytest.approx(3 / 4)
    assert scores_of(MaxSoftmax(), [[e, e]]).item() == pytest.approx(1 / 2)
