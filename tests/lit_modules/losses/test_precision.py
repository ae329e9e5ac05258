from itertools import product

import pytest
import torch
from torch import nn

from tests.lit_modules.losses.catalogue import ROWS, K, batch, call, every_loss, trained

HALVES = [torch.float16, torch.bfloat16]
both_modes = pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])


def extreme(dtype):
    """Returns every row of K logits of ±1e4, each with every class as its target."""
    logits = torch.tensor(list(product([-1e4, 1e4], repeat=K)), dtype=dtype)
    return logits.repeat_interleave(K, dim=0).requires_grad_(), torch.arange(K).repeat(len(logits))


@every_loss
@both_modes
def test_extreme_logits_have_finite_losses_and_gradients(loss_class, options, mode):
    for dtype in (*HALVES, torch.float32):
        logits, target = extreme(dtype)
        assert len(logits) == ROWS
        each = call(trained(loss_class, options).train(mode), logits, target)
        assert each.dtype == torch.float32
        assert each.isfinite().all()
        (gradient,) = torch.autograd.grad(each.sum(), logits)
        assert gradient.isfinite().all()


@every_loss
def test_confident_and_uncertain_logits_have_finite_losses_and_gradients(loss_class, options):
    loss = trained(loss_class, options).eval()
    for size in (0.0, 8.0, 30.0, 88.0, 200.0):
        logits = (size * (2 * torch.eye(K) - 1)).repeat_interleave(K, dim=0).requires_grad_()
        each = call(loss, logits, torch.arange(K).repeat(K))
        (gradient,) = torch.autograd.grad(each.sum(), logits)
        assert each.isfinite().all()
        assert gradient.isfinite().all()


@every_loss
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_logits_are_not_worked_on_in_half_precision(loss_class, options, dtype):
    logits, target = batch()
    logits = logits.to(dtype)
    loss = trained(loss_class, options).eval()
    each = call(loss, logits, target)
    assert each.dtype == torch.float32
    assert torch.equal(each, call(loss, logits.float(), target))


@every_loss
@both_modes
def test_autocast_makes_no_difference_to_given_logits_and_trains(loss_class, options, mode):
    layer, inputs, target = nn.Linear(3, K), torch.randn(6, 3), torch.randint(K, (6,))
    with torch.autocast("cpu", torch.bfloat16):
        logits = layer(inputs)
        assert logits.dtype == torch.bfloat16
        torch.manual_seed(1)
        inside = call(trained(loss_class, options).train(mode), logits, target)
        inside.sum().backward()
    torch.manual_seed(1)
    outside = call(trained(loss_class, options).train(mode), logits.detach().float(), target)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, outside)
    assert layer.weight.grad.isfinite().all()
    assert layer.weight.grad.abs().max() > 0


@every_loss
@both_modes
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_loss_converts_to_another_dtype(loss_class, options, mode, dtype):
    logits, target = batch()
    torch.manual_seed(1)
    expected = call(trained(loss_class, options).train(mode), logits, target)
    torch.manual_seed(1)
    moved = call(trained(loss_class, options).train(mode).to(dtype), logits.double(), target)
    assert moved.dtype == torch.float64
    torch.testing.assert_close(moved.float(), expected)


@every_loss
@both_modes
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_loss_moves_to_another_device(loss_class, options, mode):
    loss, (logits, target) = trained(loss_class, options).cuda().train(mode), batch()
    each = call(loss, logits.cuda().requires_grad_(), target.cuda(), index=torch.arange(6).cuda())
    assert each.device.type == "cuda"
    each.sum().backward()
