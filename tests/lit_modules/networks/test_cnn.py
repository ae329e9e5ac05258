import pytest
import torch
from torch import nn

from litzoo.lit_modules.networks import CNN


def kinds(net):
    return [type(layer).__name__ for layer in net.trunk]


@pytest.mark.parametrize(("batch_norm", "extra"), [(True, 2), (False, 1)])
def test_number_of_parameters(batch_norm, extra):
    """Batch norm has a scale and an offset a channel, a convolution without it a bias."""
    net = CNN((3, 20, 12), 10, widths=(4, 8), depth=2, hidden=(16,), batch_norm=batch_norm)
    convolutions = 9 * (3 * 4 + 4 * 4 + 4 * 8 + 8 * 8) + extra * (4 + 4 + 8 + 8)
    linear = (8 * 5 * 3) * 16 + 16 + 16 * 10 + 10
    assert sum(weight.numel() for weight in net.parameters()) == convolutions + linear


@pytest.mark.parametrize(
    ("shape", "widths", "hidden", "features"),
    [
        ((1, 28, 28), (4, 8), (), 8 * 7 * 7),
        ((1, 28, 28), (4, 8, 6), (), 6 * 3 * 3),
        ((3, 20, 12), (4,), (16, 9), 9),
        ((2, 8, 8), (4, 4, 4), (), 4),
    ],
)
def test_output_is_the_head_on_the_features(shape, widths, hidden, features):
    net, x = CNN(shape, 10, widths, hidden=hidden).eval(), torch.randn(5, *shape)
    assert net.features(x).shape == (5, features)
    assert net(x).shape == (5, 10)
    assert torch.equal(net(x), net.head(net.features(x)))


def test_an_averaged_image_has_a_feature_a_channel():
    torch.manual_seed(0)
    flat, x = CNN((2, 20, 12), 10, (4, 6)).eval(), torch.randn(5, 2, 20, 12)
    averaged = CNN((2, 20, 12), 10, (4, 6), average_pool=True).eval()
    averaged.trunk.load_state_dict(flat.trunk.state_dict())
    expected = flat.features(x).reshape(5, 6, 5 * 3).mean(dim=2)
    torch.testing.assert_close(averaged.features(x), expected)
    assert averaged(x).shape == (5, 10)


def test_layers_of_a_stage():
    assert kinds(CNN((1, 8, 8), 2, (3,), depth=2)) == [
        *["Conv2d", "BatchNorm2d", "ReLU"] * 2,
        "MaxPool2d",
        "Flatten",
    ]
    assert kinds(CNN((1, 8, 8), 2, (3,), batch_norm=False, dropout=0.1, hidden=(4,), hidden_dropout=0.2)) == [
        *["Conv2d", "ReLU", "MaxPool2d", "Dropout", "Flatten"],
        *["Linear", "ReLU", "Dropout"],
    ]


def test_flat_features_are_dropped_one_by_one():
    net = CNN((1, 8, 8), 2, (3, 3), dropout=0.1, hidden=(4, 4), hidden_dropout=0.2)
    fractions = [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)]
    assert fractions == [0.1, 0.1, 0.2, 0.2]
    assert not any(isinstance(layer, nn.Dropout2d) for layer in net.modules())


def test_as_many_stages_as_halvings_are_accepted():
    assert CNN((1, 28, 28), 10, (2, 2, 2, 2))(torch.randn(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 64, 28), (1, 28, 64)])
def test_too_many_stages_are_refused(shape):
    with pytest.raises(ValueError, match=r"widths: 5 stages .* give at most 4"):
        CNN(shape, 10, (2,) * 5)
