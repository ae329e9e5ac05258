"""Scores are fitted without a copy of all features in float64."""

import pytest
import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from litzoo.callbacks.unknown.scores import float64_rows
from litzoo.callbacks.unknown.scores.float64_rows import Float64Rows, linear_head
from tests.callbacks.unknown.scores.catalogue import D, every_score, known_samples, some_samples

ROWS = 2000


class LargestInFloat64(TorchDispatchMode):
    """Records the number of elements of the largest float64 tensor."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor) and each.dtype == torch.float64:
                self.largest = max(self.largest, each.numel())
        return result


@every_score
def test_few_rows_are_in_float64_and_the_result_is_the_same(score_class, options, monkeypatch):
    known, target, head = known_samples(rows=ROWS)
    samples, whole, blocks = some_samples(head), score_class(**options), score_class(**options)
    whole.fit(known, target, head)
    monkeypatch.setattr(float64_rows, "ELEMENTS", 100 * D)
    with LargestInFloat64() as mode:
        blocks.fit(known, target, head)
    assert mode.largest <= ROWS * 4  # the logits, of 4 classes
    torch.testing.assert_close(blocks(samples), whole(samples), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [5, 300])
def test_statistics_are_those_of_scikit_learn_and_numpy(rows, monkeypatch):
    monkeypatch.setattr(float64_rows, "ELEMENTS", 7 * D)
    (logits, features), _, head = known_samples(rows=rows, dtype=torch.float64)
    found = Float64Rows(features)
    torch.testing.assert_close(found.mean(), features.mean(dim=0))
    torch.testing.assert_close(found.scatter(), features.T @ features / rows)
    expected = ledoit_wolf_shrinkage(features.numpy(), assume_centered=True)
    assert found.ledoit_wolf(found.scatter()) == pytest.approx(expected, rel=1e-9)
    if rows > D:
        weight, bias = linear_head(type(known_samples()[0])(logits, features), None)
        torch.testing.assert_close(weight, head.weight)
        torch.testing.assert_close(bias, head.bias)
