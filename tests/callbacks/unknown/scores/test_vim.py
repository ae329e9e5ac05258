import numpy as np
import pytest
import torch
from numpy.linalg import eigh, norm, pinv
from scipy.special import logsumexp, softmax
from torch import nn

from litzoo.callbacks.unknown.scores import Energy, Evidence, ViM
from tests.callbacks.unknown.scores.catalogue import D, known_samples, some_samples


def by_the_paper(known, weight, bias, samples, dimension):
    """Returns the softmax value of the virtual logit, and its log-odds, of samples."""
    origin = -pinv(weight) @ bias
    values, axes = eigh((known.features - origin).T @ (known.features - origin))
    complement = axes[:, np.argsort(-values)[dimension:]]
    residual = norm((known.features - origin) @ complement, axis=1)
    alpha = known.logits.max(axis=1).sum() / residual.sum()
    virtual = alpha * norm((samples.features - origin) @ complement, axis=1)
    probability = softmax(np.column_stack([samples.logits, virtual]), axis=1)[:, -1]
    return probability, virtual - logsumexp(samples.logits, axis=1)


def in_numpy(evidence):
    return Evidence(*(values.double().numpy() for values in evidence))


@pytest.mark.parametrize("dimension", [1, 3, D - 1])
def test_scores_are_those_of_the_paper(dimension):
    known, target, head = known_samples(dtype=torch.float64)
    samples, score = some_samples(head), ViM(dimension)
    score.fit(known, target, head)
    probability, expected = by_the_paper(
        in_numpy(known), head.weight.numpy(), head.bias.numpy(), in_numpy(samples), dimension
    )
    scores = score(samples).numpy()
    assert scores == pytest.approx(expected, rel=1e-6)
    assert 1 / (1 + np.exp(-scores)) == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize("spread", [0.01, 1.0])
def test_the_principal_subspace_holds_99_percent(spread):
    known, target, head = known_samples(rows=1000, features=40, dtype=torch.float64)
    known.features[:, 4:] *= spread
    score = ViM()
    score.fit(known, target, head)
    shifted = in_numpy(known).features + pinv(head.weight.numpy()) @ head.bias.numpy()
    squares = np.sort(np.linalg.svd(shifted, compute_uv=False) ** 2)[::-1].cumsum()
    used = int(np.argmax(squares >= 0.99 * squares[-1])) + 1
    assert score.state_dict()["ViM.residual"].shape == (40, 40 - used)
    assert 0 < used < 40


def test_a_head_without_bias_has_its_origin_at_0():
    known, target, _ = known_samples(dtype=torch.float64)
    head = nn.Linear(D, 4, bias=False, dtype=torch.float64).requires_grad_(False)
    samples, score = some_samples(head), ViM(D // 2)
    score.fit(known, target, head)
    _, expected = by_the_paper(in_numpy(known), head.weight.numpy(), np.zeros(4), in_numpy(samples), D // 2)
    assert score(samples).numpy() == pytest.approx(expected, rel=1e-6)


def test_without_a_head_it_is_fitted_to_the_logits():
    known, target, head = known_samples()
    given, found, samples = ViM(3), ViM(3), some_samples(head)
    given.fit(known, target, head)
    found.fit(known, target, None)
    torch.testing.assert_close(found(samples), given(samples), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_features_of_low_rank_have_a_residual(rank):
    known, target, head = known_samples(dtype=torch.float64)
    few = torch.zeros_like(known.features)
    few[:, :rank] = known.features[:, :rank]
    head.bias.zero_()
    score = ViM()
    score.fit(Evidence(known.logits, few), target, head)
    inside, outside = torch.zeros(2, D), torch.zeros(2, D)
    outside[:, rank] = torch.tensor([1.0, 2.0])
    logits = torch.zeros(2, 4)
    energy = Energy()(Evidence(logits, inside))
    torch.testing.assert_close(score(Evidence(logits, inside)), energy)
    virtual = score(Evidence(logits, outside)) - energy
    assert score.state_dict()["ViM.residual"].shape == (D, D - rank + 1)
    assert virtual[0] > 0
    assert virtual[1].item() == pytest.approx(2 * virtual[0].item())
    with pytest.raises(ValueError, match=rf"ViM.dimension: {rank} is not below {rank}, "):
        ViM(rank).fit(Evidence(known.logits, few), target, head)


def test_mean_virtual_logit_of_training_samples_is_their_mean_largest_logit():
    known, target, head = known_samples()
    score = ViM()
    score.fit(known, target, head)
    virtual = score(known) - Energy()(known)
    assert virtual.mean().item() == pytest.approx(known.logits.amax(dim=1).mean().item(), rel=1e-5)
