import numpy as np
import pytest
import torch
from scipy.stats import weibull_min

from litzoo.callbacks.unknown.scores import Evidence, OpenMax
from tests.callbacks.unknown.scores.catalogue import K, known_samples, some_samples


def evidence(logits):
    return Evidence(logits, torch.empty(0))


def models_of(known, target, tail):
    """Returns for each class its mean and the distribution of the distances to it."""
    models = []
    for label in range(K):
        right = known[(target == label) & (known.argmax(axis=1) == target)]
        mean = right.mean(axis=0)
        distances = sorted(np.sqrt(((row - mean) ** 2).sum()) for row in right)[-tail:]
        shape, _, scale = weibull_min.fit(distances, floc=0)
        models.append((mean, weibull_min(shape, scale=scale)))
    return models


def by_the_paper(models, logits, alpha):
    """Returns the probabilities of K + 1 classes of one sample's logits."""
    revised, unknown = logits.copy(), 0.0
    for rank, label in enumerate(np.argsort(-logits, kind="stable")[:alpha], start=1):
        mean, model = models[label]
        weight = (alpha + 1 - rank) / alpha
        revised[label] = logits[label] * (1 - weight * model.cdf(np.sqrt(((logits - mean) ** 2).sum())))
        unknown += logits[label] - revised[label]
    exponentials = np.exp(np.array([*revised, unknown]) - max(*revised, unknown))
    return exponentials / exponentials.sum()


@pytest.mark.parametrize(("tail", "alpha", "used"), [(20, 3, 3), (5, 1, 1), (60, 4, 4), (20, 50, 4)])
def test_probabilities_are_those_of_the_paper(tail, alpha, used):
    known, target, head = known_samples(dtype=torch.float64)
    samples, score = some_samples(head).logits, OpenMax(tail, alpha)
    score.fit(known, target)
    samples = torch.cat([samples, known.logits[:10]])
    models = models_of(known.logits.numpy(), target.numpy(), tail)
    expected = [by_the_paper(models, row, used)[-1] for row in samples.numpy()]
    assert score(evidence(samples)).numpy() == pytest.approx(np.array(expected), rel=1e-4, abs=1e-9)
    assert 0 <= min(expected) < 0.2 < 0.8 < max(expected) <= 1


def test_misclassified_training_samples_are_ignored():
    known, target, _ = known_samples()
    wrong = known.logits.clone()
    wrong[::7] = -wrong[::7]
    right = wrong.argmax(dim=1) == target
    assert 0 < (~right).sum() < 100
    score, cleaned = OpenMax(), OpenMax()
    score.fit(evidence(wrong), target)
    cleaned.fit(evidence(wrong[right]), target[right])
    states = (each.statistics.values() for each in (score, cleaned))
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_equal_distances_give_a_step_function(size):
    # Each class has four samples at a distance of `size` from its mean.
    around = size * torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
    center = size * torch.tensor([[9.0, 0]], dtype=torch.float64)
    logits, target = torch.cat([center + around, center.flip(1) + around]), torch.tensor([0] * 4 + [1] * 4)
    score = OpenMax(tail=4, alpha=1)
    score.fit(evidence(logits), target)
    assert score.statistics["scale"].tolist() == pytest.approx([size, size])
    within, beyond = center + 0.9 * around[:1], center + 1.1 * around[:1]
    lost = [0.0, beyond[0, 0].item()]
    for sample, loss in zip((within, beyond), lost, strict=True):
        revised = torch.tensor([sample[0, 0].item() - loss, 0.0, loss], dtype=torch.float64)
        assert score(evidence(sample)).item() == pytest.approx(revised.softmax(dim=0)[-1].item(), abs=1e-9)


def test_identical_training_samples_give_finite_scores():
    logits, target = 5 * torch.eye(K).repeat(6, 1), torch.arange(K).repeat(6)
    score = OpenMax(tail=6)
    score.fit(evidence(logits), target)
    scores = score(evidence(torch.cat([logits[:1], logits[:1] + 0.1])))
    assert scores.isfinite().all()
    assert scores[0] < scores[1]


def test_ties_between_logits_are_in_the_order_of_the_classes():
    known, target, _ = known_samples()
    score = OpenMax(alpha=1)
    score.fit(known, target)
    tied = torch.full((1, K), 9.0)
    models = models_of(known.logits.double().numpy(), target.numpy(), 20)
    expected = by_the_paper(models, tied.double().numpy()[0], 1)
    assert score(evidence(tied)).item() == pytest.approx(expected[-1], rel=1e-3)
