from math import log

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from litzoo.lit_modules.losses import SparseOverParameterization

K = 3


class Paper:
    """The paper's algorithm by autograd: u descends on the cross-entropy, v on the squared distance, both by SGD."""

    def __init__(self, samples, lr_u, lr_v, start):
        self.u = torch.full((samples, 1), start, dtype=torch.float64)
        self.v = torch.full((samples, K), start, dtype=torch.float64)
        self.lr_u, self.lr_v = lr_u, lr_v

    def __call__(self, logits, target, index):
        logits = logits.detach().double().requires_grad_()
        u, v = self.u[index].requires_grad_(), self.v[index].requires_grad_()
        y = F.one_hot(target, K).double()
        noise_u, noise_v = u**2 * y, v**2 * (1 - y)
        noisy = (logits.softmax(dim=1) + noise_u - noise_v.detach()).clamp(min=1e-4)
        losses = -(y * (noisy / noisy.sum(dim=1, keepdim=True)).log()).sum(dim=1)
        predicted = F.one_hot(logits.argmax(dim=1), K).double()
        distance = ((predicted + noise_u.detach() - noise_v - y) ** 2).sum()
        (by_u, by_logits), (by_v,) = (
            torch.autograd.grad(losses.sum(), (u, logits)),
            torch.autograd.grad(distance, v),
        )
        self.u[index] = (u - self.lr_u * by_u).detach().clamp(-1, 1)
        self.v[index] = (v - self.lr_v * by_v).detach().clamp(-1, 1)
        return losses.detach(), by_logits


def visits():
    sizes = ((0, 1, 2, 3), (3, 1), (2, 0, 3), (4, 1, 2), (0, 1, 2, 3, 4), (0, 1, 2, 3))
    return [(2 * torch.randn(len(i), K), torch.randint(K, (len(i),)), torch.tensor(i)) for i in sizes for _ in range(3)]


@pytest.mark.parametrize(("lr_u", "lr_v", "start"), [(0.08, 0.08, 1e-3), (1.0, 0.5, 0.1), (0.3, 0.02, 0.7), (0, 0, 0)])
def test_values_gradients_and_noise_are_those_of_the_paper(lr_u, lr_v, start):
    loss, paper = SparseOverParameterization(lr_u, lr_v, start, "none"), Paper(5, lr_u, lr_v, start)
    for logits, target, index in visits():
        expected, expected_gradient = paper(logits, target, index)
        leaf = logits.clone().requires_grad_()
        values = loss(leaf, target, index)
        assert values.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-5)
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
        torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-3, atol=1e-5)
    if start:
        torch.testing.assert_close(loss.get_extra_state().double(), torch.cat([paper.u, paper.v], 1), rtol=1e-3, atol=0)


def test_a_step_by_hand():
    # p = (1/4, 3/4), label 0, u = v = 1/2: p + s = (1/2, 3/4 - 1/4) and the loss is log 2.
    loss = SparseOverParameterization(lr_u=0.1, lr_v=0.2, start=0.5)
    value = loss(torch.tensor([[0, log(3)]]), torch.tensor([0]), torch.tensor([0]))
    assert value.item() == pytest.approx(log(2))
    # d/du = 2u (1 / 1 - 1 / (1/2)) = -1; d/dv_1 = -4v (1 - v²) = -3/2; v of the label stays.
    assert loss.get_extra_state()[0].tolist() == pytest.approx([0.5 + 0.1, 0.5, 0.5 + 0.2 * 1.5])


def test_the_noise_of_a_sample_that_contradicts_the_network_explains_its_label():
    loss = SparseOverParameterization(lr_u=0.3, lr_v=0.3, start=1e-3, reduction="none")
    logits = torch.tensor([[3.0, 0, 0], [3.0, 0, 0]])
    target, index = torch.tensor([0, 1]), torch.arange(2)
    first = loss(logits, target, index)
    for _ in range(30):
        last = loss(logits, target, index)
    right, wrong = loss.get_extra_state()
    assert wrong[0] > 0.9
    assert right[0] < 0.05
    assert wrong[1] > 0.9  # v of the predicted class takes its probability away
    assert right[1:].max() <= 1e-3
    assert last[1] < first[1] / 4
    assert last[0] == pytest.approx(first[0].item(), abs=1e-2)


def test_neither_evaluation_nor_learning_rates_of_0_change_the_noise():
    logits, target, index = visits()[0]
    loss = SparseOverParameterization(1, 1, 0.1)
    loss(logits, target, index)
    before = loss.get_extra_state()
    loss.eval()(logits, target, index)
    assert torch.equal(loss.get_extra_state(), before)
    still = SparseOverParameterization(0, 0, 0.1)
    still(logits, target, index)
    assert still.get_extra_state().numel() == 0  # nothing differs from the start


def test_rows_that_were_never_seen_start_small_after_loading():
    loss = SparseOverParameterization(start=0.25)
    loss(torch.randn(2, K), torch.tensor([0, 1]), torch.tensor([1, 6]))
    fresh = SparseOverParameterization(start=0.25)
    fresh.set_extra_state(loss.get_extra_state())
    assert np.allclose(fresh.get_extra_state()[[0, 2, 3, 4, 5]], 0.25)
    fresh(torch.randn(1, K), torch.tensor([2]), torch.tensor([9]))
    assert fresh.get_extra_state().shape == (10, 1 + K)
    assert np.allclose(fresh.get_extra_state()[8], 0.25)
