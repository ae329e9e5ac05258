"""Scores and metrics against those of pytorch-ood, an independent implementation, on the same tensors."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "reference.pt"
    command = [sys.executable, "-m", "tests.callbacks.unknown.scores.pytorch_ood_reference", str(path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[4])
    return torch.load(path)


@pytest.mark.parametrize(
    ("score", "scale"),
    [
        (MaxSoftmax(), 1),
        (MaxLogit(), 1),
        (Energy(2.0), 1),
        (Entropy(), 1),
        (GeneralizedEntropy(0.1, 3), 1),
        (ReAct(90), 1),
        (ViM(3), 1),
        # Their covariances are sums over the samples, not means; their Mahalanobis score is half the distance.
        (Mahalanobis(0), 2 * len(TARGET)),
        (RelativeMahalanobis(0), len(TARGET)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scores(score, scale, theirs):
    score.fit(KNOWN, TARGET, HEAD)
    tolerance = 1e-3 if score.uses_features else 1e-5  # their statistics are float32
    expected = theirs[type(score).__name__].double() * scale
    torch.testing.assert_close(score(SAMPLES), expected, rtol=tolerance, atol=tolerance)


def test_nearest_neighbors_rank_alike(theirs):
    score = NearestNeighbors(1)
    score.fit(KNOWN, TARGET, HEAD)
    assert score(SAMPLES).argsort().tolist() == theirs["NearestNeighbors"].argsort().tolist()


def test_metrics(theirs):
    scores = torch.cat([MaxLogit()(KNOWN), MaxLogit()(SAMPLES)])
    unknown = torch.arange(len(scores)) >= len(TARGET)
    assert auroc(scores, unknown) == pytest.approx(float(theirs["AUROC"]), abs=1e-6)
    assert aupr(scores, unknown) == pytest.approx(float(theirs["AUPR-OUT"]), abs=5e-3)  # theirs is a trapezoid sum
    assert false_positive_rate(-scores, ~unknown) == pytest.approx(float(theirs["FPR95TPR"]), abs=1 / len(TARGET))
