"""Values of the losses against the papers' formulas, written out for one sample in numpy, and by hand."""

from math import e, log

import numpy as np
import pytest
import torch

from litzoo.lit_modules import losses

COUNTS = np.array([81.0, 40, 16, 9, 1])
WEIGHTS = np.array([0.2, 0.5, 1.0, 1.3, 2.0])
MATRIX = (np.eye(5) * 0.5 + np.roll(np.eye(5), 1, axis=1) * 0.3 + 0.04).tolist()


def one_hot(y):
    return np.eye(5)[y]


def cross_entropy(wanted, p):
    return -sum(w * np.log(q) for w, q in zip(wanted, p, strict=True))


def reverse_cross_entropy(p, y, log_zero):
    return -sum(p[k] * (0 if k == y else log_zero) for k in range(5))


def smooth(alpha, y):
    return np.array([1 - alpha + alpha / 5 if k == y else alpha / 5 for k in range(5)])


def smooth_others(alpha, y):
    return np.array([1 - alpha if k == y else alpha / 4 for k in range(5)])


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def ldam(p, y, max_margin, scale):
    margin = COUNTS**-0.25 * max_margin / (COUNTS**-0.25).max()
    z = np.log(p)
    z[y] -= margin[y]
    return cross_entropy(one_hot(y), softmax(scale * z))


# From the softmax p `[5]` of a sample and its label y.
FORMULAS = [
    (losses.ActivePassiveLoss(0.5, 2, -3), lambda p, y: (
        0.5 * cross_entropy(one_hot(y), p) / sum(cross_entropy(one_hot(k), p) for k in range(5))
        + 2 * reverse_cross_entropy(p, y, -3)
    )),
    (losses.Bootstrapping(0.8), lambda p, y: cross_entropy(0.8 * one_hot(y) + 0.2 * one_hot(p.argmax()), p)),
    (losses.Bootstrapping(0.95, hard=False), lambda p, y: cross_entropy(0.95 * one_hot(y) + 0.05 * p, p)),
    (losses.FocalLoss(2), lambda p, y: -((1 - p[y]) ** 2) * np.log(p[y])),
    (losses.FocalLoss(0.5), lambda p, y: -((1 - p[y]) ** 0.5) * np.log(p[y])),
    (losses.ForwardCorrection(MATRIX), lambda p, y: -np.log(sum(p[j] * MATRIX[j][y] for j in range(5)))),
    (losses.GeneralizedCrossEntropy(), lambda p, y: (1 - p[y] ** 0.7) / 0.7),
    (losses.LabelSmoothing(0.3), lambda p, y: cross_entropy(smooth(0.3, y), p)),
    (losses.LabelSmoothing(0.3, "others"), lambda p, y: cross_entropy(smooth_others(0.3, y), p)),
    (losses.LDAMLoss(0.5, 3), lambda p, y: ldam(p, y, 0.5, 3)),
    (losses.LDAMLoss(0.7, reweight_from=9), lambda p, y: WEIGHTS[y] * ldam(p, y, 0.7, 1)),
    (losses.LogitAdjustedCrossEntropy(), lambda p, y: -np.log(COUNTS[y] * p[y] / (COUNTS * p).sum())),
    (losses.LogitAdjustedCrossEntropy(0.5), lambda p, y: -np.log(
        COUNTS[y] ** 0.5 * p[y] / (COUNTS**0.5 * p).sum()
    )),
    (losses.OneHotSquaredError(), lambda p, y: np.mean((p - one_hot(y)) ** 2)),
    (losses.SymmetricCrossEntropy(), lambda p, y: 0.1 * cross_entropy(one_hot(y), p) + reverse_cross_entropy(p, y, -4)),
    (losses.SymmetricCrossEntropy(6, 0.1, -2), lambda p, y: (
        6 * cross_entropy(one_hot(y), p) + 0.1 * reverse_cross_entropy(p, y, -2)
    )),
    (losses.WeightedCrossEntropy(), lambda p, y: WEIGHTS[y] * cross_entropy(one_hot(y), p)),
]  # fmt: skip

# The softmax is (1/4, 3/4) and the label 0: logits 0 and log 3, which is 1 in length 1.
BY_HAND = [
    (losses.ActivePassiveLoss(), log(4) / (log(4) + log(4 / 3)) + 4 * 0.75),
    (losses.Bootstrapping(0.8), 0.8 * log(4) + 0.2 * log(4 / 3)),
    (losses.Bootstrapping(0.8, hard=False), 0.85 * log(4) + 0.15 * log(4 / 3)),
    (losses.FocalLoss(2), 9 / 16 * log(4)),
    (losses.ForwardCorrection([[0.7, 0.3], [0.2, 0.8]]), -log(0.25 * 0.7 + 0.75 * 0.2)),
    (losses.GeneralizedCrossEntropy(0.5), 1.0),
    (losses.LabelSmoothing(0.2), 0.9 * log(4) + 0.1 * log(4 / 3)),
    (losses.LabelSmoothing(0.2, "others"), 0.8 * log(4) + 0.2 * log(4 / 3)),
    (losses.LDAMLoss(0.5), log(1 + 3 * e**0.25)),  # class 0 has 16 samples: half the margin of the class that has one
    (losses.LogitAdjustedCrossEntropy(), log(1 + 3 / 16)),
    (losses.LogitNorm(0.5), log(1 + e**2)),
    (losses.LogitNorm(1.0), log(1 + e)),
    (losses.SymmetricCrossEntropy(), 0.1 * log(4) + 4 * 0.75),
]


def call(loss, logits, target, counts, weights, epoch=9):
    given = {"class_counts": torch.tensor(counts).float(), "class_weights": torch.tensor(weights), "epoch": epoch}
    return loss(logits, target, **{name: given[name] for name in given if name in loss.forward.__code__.co_varnames})


def named(cases):
    return [pytest.param(*case, id=f"{type(case[0]).__name__}-{number}") for number, case in enumerate(cases)]


@pytest.mark.parametrize(("loss", "formula"), named(FORMULAS))
def test_losses_are_those_of_the_papers(loss, formula):
    logits, target = 2 * torch.randn(40, 5, dtype=torch.float64), torch.arange(40) % 5
    expected = [formula(softmax(z), y) for z, y in zip(logits.numpy(), target.tolist(), strict=True)]
    loss.reduction = "none"
    assert call(loss, logits, target, COUNTS, WEIGHTS).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("loss", "expected"), named(BY_HAND))
def test_by_hand(loss, expected):
    value = call(loss, torch.tensor([[0, log(3)]]), torch.tensor([0]), [16.0, 1.0], [1.0, 1.0])
    assert value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.04, 0.5, 1.0])
def test_logit_norm_is_that_of_the_paper(temperature):
    # From the logits: their norm cannot be recovered from a softmax.
    logits, target = 2 * torch.randn(40, 5, dtype=torch.float64), torch.arange(40) % 5
    expected = [
        cross_entropy(one_hot(y), softmax(z / np.sqrt((z**2).sum()) / temperature))
        for z, y in zip(logits.numpy(), target.tolist(), strict=True)
    ]
    assert losses.LogitNorm(temperature, "none")(logits, target).tolist() == pytest.approx(expected, rel=1e-6)
