import math

import pytest
import torch
from torch import nn

from litzoo.lit_modules.networks import MLP


def parameters(net):
    return sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize(
    ("hidden", "batch_norm", "expected"),
    [
        ((), False, 784 * 10 + 10),
        ((64,), False, (784 * 64 + 64) + (64 * 10 + 10)),
        ((64, 32), False, (784 * 64 + 64) + (64 * 32 + 32) + (32 * 10 + 10)),
        ((64, 32), True, (784 * 64 + 2 * 64) + (64 * 32 + 2 * 32) + (32 * 10 + 10)),
    ],
)
def test_number_of_parameters(hidden, batch_norm, expected):
    assert parameters(MLP(784, 10, hidden, batch_norm=batch_norm)) == expected


@pytest.mark.parametrize("hidden", [(), (7,), (9, 5)])
def test_output_is_the_head_on_the_features(hidden):
    net, x = MLP(12, 3, hidden), torch.randn(4, 1, 3, 4)
    features = net.features(x)
    assert features.shape == (4, hidden[-1] if hidden else 12)
    assert net(x).shape == (4, 3)
    assert torch.equal(net(x), net.head(features))


def test_without_hidden_layers_it_is_linear():
    net, x = MLP(12, 3), torch.randn(4, 12)
    assert torch.allclose(net(x), x @ net.head.weight.T + net.head.bias)


def test_hidden_layers_are_rectified():
    net, x = MLP(12, 3, (6,)), torch.randn(4, 12)
    first = net.trunk[1]
    assert torch.allclose(net.features(x), (x @ first.weight.T + first.bias).clamp(min=0))


@pytest.mark.parametrize(("dropout", "drops"), [(0.0, False), (0.5, True)])
def test_dropout_acts_in_training_only(dropout, drops):
    net, x = MLP(12, 3, (200,), dropout=dropout), torch.rand(8, 12)
    assert torch.equal(net(x), net(x)) is not drops
    net.eval()
    assert torch.equal(net(x), net(x))


def test_batch_norm_normalises_the_hidden_layer():
    net = MLP(12, 3, (50,), batch_norm=True)
    before_relu = net.trunk[:-1](torch.randn(64, 12) * 9 + 4)
    assert torch.allclose(before_relu.mean(dim=0), torch.zeros(50), atol=1e-5)
    assert torch.allclose(before_relu.var(dim=0, unbiased=False), torch.ones(50), atol=1e-3)


@pytest.mark.parametrize(
    ("init", "deviation"),
    [("normal", 0.01), ("kaiming", math.sqrt(2 / 800)), ("xavier", math.sqrt(2 / (800 + 400)))],
)
def test_inits_have_their_deviation_and_no_bias(init, deviation):
    first, head = [layer for layer in MLP(800, 10, (400,), init=init).modules() if isinstance(layer, nn.Linear)]
    assert first.weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert first.weight.mean().item() == pytest.approx(0, abs=deviation / 50)
    assert not first.bias.any()
    assert not head.bias.any()


def test_the_default_init_is_that_of_torch():
    torch.manual_seed(5)
    net = MLP(20, 10)
    torch.manual_seed(5)
    assert torch.equal(net.head.weight, nn.Linear(20, 10).weight)
