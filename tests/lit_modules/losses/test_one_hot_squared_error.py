import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss

from litzoo.lit_modules import OneHotSquaredError


def test_by_hand():
    # softmax of (0, ln 3) is (1/4, 3/4); of (0, 0) it is (1/2, 1/2)
    logits = torch.tensor([[0.0, np.log(3.0)], [0.0, 0.0]])
    losses = OneHotSquaredError(reduction="none")(logits, torch.tensor([0, 1]))
    assert losses.tolist() == pytest.approx([(0.75**2 + 0.75**2) / 2, 0.25])
    assert OneHotSquaredError()(logits, torch.tensor([0, 1])).item() == pytest.approx((0.5625 + 0.25) / 2)


def test_it_is_the_brier_score_divided_by_the_number_of_classes():
    logits, target = torch.randn(50, 2), torch.randint(2, (50,))
    brier = brier_score_loss(target, logits.double().softmax(dim=1)[:, 1])  # of two classes: one of the two terms
    assert OneHotSquaredError()(logits, target).item() == pytest.approx(brier, rel=1e-5)


def test_none_gives_one_loss_a_sample_whose_mean_is_the_loss():
    logits, target = torch.randn(6, 4), torch.randint(4, (6,))
    losses = OneHotSquaredError(reduction="none")(logits, target)
    assert losses.shape == (6,)
    assert torch.allclose(losses.mean(), OneHotSquaredError()(logits, target))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradient(reduction):
    logits = torch.randn(4, 5, dtype=torch.double, requires_grad=True)
    loss = OneHotSquaredError(reduction)
    assert torch.autograd.gradcheck(lambda x: loss(x, torch.tensor([0, 4, 2, 2])), logits)


def test_half_precision_logits_are_not_squared_in_half_precision():
    logits, target = torch.randn(8, 3, dtype=torch.bfloat16), torch.randint(3, (8,))
    loss = OneHotSquaredError()(logits, target)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, OneHotSquaredError()(logits.float(), target))


def test_another_reduction_is_refused():
    with pytest.raises(ValueError, match="'median' is none of mean, sum, none"):
        OneHotSquaredError(reduction="median")
