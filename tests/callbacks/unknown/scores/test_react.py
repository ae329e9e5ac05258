import pytest
import torch
from torch import nn

from litzoo.callbacks.unknown.scores import Energy, Evidence, ReAct
from tests.callbacks.unknown.scores.catalogue import known_samples, some_samples


def test_by_hand():
    features = torch.tensor([[0.0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]])
    head = nn.Linear(2, 2).requires_grad_(False)
    head.weight.data, head.bias.data = torch.tensor([[1.0, -1], [0, 2]]), torch.tensor([0.5, 0])
    score = ReAct(50)
    score.fit(Evidence(head(features), features), torch.tensor([0, 1] * 3), head)
    assert score.statistic("clip") == 5.5
    scores = score(Evidence(torch.zeros(2, 2), torch.tensor([[100.0, 3], [-4, 7]])))
    clipped = torch.tensor([[5.5 - 3 + 0.5, 6.0], [-4 - 5.5 + 0.5, 11]], dtype=torch.float64)
    assert scores.tolist() == pytest.approx((-clipped.logsumexp(dim=1)).tolist())


def test_where_nothing_is_clipped_it_is_the_energy():
    known, target, head = known_samples(dtype=torch.float64)
    score, inside = ReAct(99.99), Evidence(*(values[:10] for values in known))
    score.fit(known, target, head)
    below = inside.features.amax(dim=1) < score.statistic("clip")
    assert below.sum() > 5
    torch.testing.assert_close(score(inside)[below], Energy()(inside)[below])


def test_without_a_head_it_is_fitted_to_the_logits():
    known, target, head = known_samples()
    given, found, samples = ReAct(), ReAct(), some_samples(head)
    given.fit(known, target, head)
    found.fit(known, target, None)
    torch.testing.assert_close(found(samples), given(samples), rtol=1e-4, atol=1e-4)
