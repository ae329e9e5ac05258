"""Scores and metrics against those of pytorch-ood, an independent implementation, on the same tensors."""

import pytest
import torch
from pytorch_ood import detector as reference
from pytorch_ood.metrics import OODMetrics

from litzoo.callbacks.unknown.metrics import aupr, auroc, false_positive_rate
from litzoo.callbacks.unknown.scores import (
    Energy,
    Entropy,
    GeneralizedEntropy,
    Mahalanobis,
    MaxLogit,
    MaxSoftmax,
    NearestNeighbors,
    ReAct,
    RelativeMahalanobis,
    ViM,
)
from tests.callbacks.unknown.scores.catalogue import known_samples, some_samples

KNOWN, TARGET, HEAD = known_samples(dtype=torch.float64)
SAMPLES = some_samples(HEAD)


@pytest.mark.parametrize(
    ("score", "theirs"),
    [
        (MaxSoftmax(), lambda: 1 + reference.MaxSoftmax.score(SAMPLES.logits)),
        (MaxLogit(), lambda: reference.MaxLogit.score(SAMPLES.logits)),
        (Energy(2.0), lambda: reference.EnergyBased.score(SAMPLES.logits, t=2.0)),
        (Entropy(), lambda: reference.Entropy.score(SAMPLES.logits)),
        (GeneralizedEntropy(0.1, 3), lambda: 3 * reference.GEN.score(SAMPLES.logits, 0.1, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores_of_logits(score, theirs):
    torch.testing.assert_close(score(SAMPLES), theirs().double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("score", "detector", "scale"),
    [
        # Their covariances are sums over the samples, not means; their Mahalanobis score is half the distance.
        (Mahalanobis(0), lambda: reference.Mahalanobis(None), 2 * len(TARGET)),
        (RelativeMahalanobis(0), lambda: reference.RMD(None), len(TARGET)),
        (ViM(3), lambda: reference.ViM(None, 3, HEAD.weight, HEAD.bias), 1),
    ],
    ids=["Mahalanobis", "RelativeMahalanobis", "ViM"],
)
def test_scores_of_features(score, detector, scale):
    score.fit(KNOWN, TARGET, HEAD)
    theirs = detector().fit_features(KNOWN.features.float(), TARGET)
    expected = theirs.predict_features(SAMPLES.features.float()).double() * scale
    torch.testing.assert_close(score(SAMPLES), expected, rtol=1e-3, atol=1e-3)


def test_nearest_neighbors_rank_alike():
    score, theirs = NearestNeighbors(1), reference.KNN(None, k=1)
    score.fit(KNOWN, TARGET, HEAD)
    theirs.fit_features(KNOWN.features, TARGET)
    expected = theirs.predict_features(SAMPLES.features)
    assert score(SAMPLES).argsort().tolist() == torch.as_tensor(expected).argsort().tolist()


def test_react():
    score = ReAct(90)
    score.fit(KNOWN, TARGET, HEAD)
    theirs = reference.ReAct(lambda features: features, HEAD, percentile=0.9)
    theirs.fit([(KNOWN.features, TARGET)])
    torch.testing.assert_close(score(SAMPLES), theirs.predict(SAMPLES.features), rtol=1e-6, atol=1e-6)


def test_metrics():
    scores = torch.cat([MaxLogit()(KNOWN), MaxLogit()(SAMPLES)])
    unknown = torch.arange(len(scores)) >= len(TARGET)
    metrics = OODMetrics()
    metrics.update(scores, torch.where(unknown, -1, 0))
    expected = metrics.compute()
    assert auroc(scores, unknown) == pytest.approx(expected["AUROC"], abs=1e-6)
    assert aupr(scores, unknown) == pytest.approx(expected["AUPR-OUT"], abs=5e-3)  # theirs is a trapezoid sum
    assert false_positive_rate(-scores, ~unknown) == pytest.approx(expected["FPR95TPR"], abs=1 / len(TARGET))
