import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance, LedoitWolf, shrunk_covariance

from litzoo.callbacks.unknown.scores import Evidence, Mahalanobis, RelativeMahalanobis
from tests.callbacks.unknown.scores.catalogue import K, known_samples, some_samples


def centered(features, target):
    means = np.stack([features[target == label].mean(axis=0) for label in range(K)])
    return means, features - means[target]


def evidence(features):
    return Evidence(torch.zeros(len(features), K), features)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("flaw", [None, "dead unit", "duplicate unit"])
def test_distances_are_those_of_scikit_learn(dtype, flaw):
    (_, features), target, head = known_samples(dtype=dtype)
    samples = some_samples(head).features
    if flaw == "dead unit":
        features[:, 3], samples[:, 3] = 0, 7
    elif flaw == "duplicate unit":
        features[:, 3] = features[:, 4]
    score = Mahalanobis(0)
    score.fit(evidence(features), target)
    means, residuals = centered(features.double().numpy(), target.numpy())
    reference = EmpiricalCovariance(assume_centered=True).fit(residuals)
    expected = np.min([reference.mahalanobis(samples.double().numpy() - mean) for mean in means], axis=0)
    assert score(evidence(samples)).numpy() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shrinkage", [0.01, 0.5, 1.0])
def test_shrinkage_is_that_of_scikit_learn(shrinkage):
    (_, features), target, head = known_samples(rows=8, dtype=torch.float64)  # fewer samples than features
    samples = some_samples(head).features
    score = Mahalanobis(shrinkage)
    score.fit(evidence(features), target)
    means, residuals = centered(features.numpy(), target.numpy())
    precision = np.linalg.inv(shrunk_covariance(residuals.T @ residuals / 8, shrinkage))
    away = samples.numpy()[:, None] - means
    expected = np.einsum("nkd,de,nke->nk", away, precision, away).min(axis=1)
    assert score(evidence(samples)).numpy() == pytest.approx(expected, rel=1e-6)


def test_class_means_score_0_and_scores_do_not_depend_on_the_scale():
    (_, features), target, head = known_samples(dtype=torch.float64)
    score, scaled, samples = Mahalanobis(0), Mahalanobis(0), some_samples(head).features
    score.fit(evidence(features), target)
    scaled.fit(evidence(1e4 * features + 1e6), target)
    means, _ = centered(features.numpy(), target.numpy())
    assert score(evidence(torch.from_numpy(means))).abs().max() < 1e-20
    torch.testing.assert_close(scaled(evidence(1e4 * samples + 1e6)), score(evidence(samples)), rtol=1e-6, atol=0)


def test_by_hand():
    # Means (0, 0) and (10, 0), variances 1 and 4.
    features = torch.tensor([[-1.0, -2], [-1, 2], [1, -2], [1, 2], [9, -2], [9, 2], [11, -2], [11, 2]])
    score = Mahalanobis(0)
    score.fit(Evidence(torch.zeros(8, 2), features), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    samples = torch.tensor([[0.0, 4], [12, 2], [5, 0]])
    assert score(evidence(samples)).tolist() == pytest.approx([4, 4 + 1, 25])


def nearest(reference, samples, means):
    return np.min([reference.mahalanobis(samples - mean) for mean in means], axis=0)


@pytest.mark.parametrize("rows", [8, 400])
@pytest.mark.parametrize("score_class", [Mahalanobis, RelativeMahalanobis])
def test_shrinkage_is_estimated_as_scikit_learn_does(rows, score_class):
    (_, features), target, head = known_samples(rows=rows, dtype=torch.float64)
    samples, features = some_samples(head).features.numpy(), features.numpy()
    score = score_class()
    score.fit(evidence(torch.from_numpy(features)), target)
    means, residuals = centered(features, target.numpy())
    expected = nearest(LedoitWolf(assume_centered=True).fit(residuals), samples, means)
    if score_class is RelativeMahalanobis:
        overall = LedoitWolf().fit(features)
        expected -= overall.mahalanobis(samples)
    assert score(evidence(torch.from_numpy(samples))).numpy() == pytest.approx(expected, rel=1e-6)


def test_relative_distance_by_hand():
    # Within the classes: variances 1 and 4; overall: mean (5, 0), variances 26 and 4.
    features = torch.tensor([[-1.0, -2], [-1, 2], [1, -2], [1, 2], [9, -2], [9, 2], [11, -2], [11, 2]])
    score = RelativeMahalanobis(0)
    score.fit(Evidence(torch.zeros(8, 2), features), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    samples = torch.tensor([[0.0, 4], [12, 2], [5, 0]])
    assert score(evidence(samples)).tolist() == pytest.approx([4 - 25 / 26 - 4, 4 + 1 - 49 / 26 - 1, 25])
