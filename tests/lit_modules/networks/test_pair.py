import pytest
import torch

from litzoo.lit_modules.networks import CNN, MLP, Pair, ResNet

NETWORKS = {
    "cnn": (lambda: CNN((1, 8, 8), 3, widths=[4, 4], hidden=[5]), (1, 8, 8)),
    "mlp": (lambda: MLP(6, 3, hidden=[5], batch_norm=True), (6,)),
    "resnet": (lambda: ResNet((1, 8, 8), 3), (1, 8, 8)),
}


@pytest.fixture(params=NETWORKS)
def pair_and_inputs(request):
    make, shape = NETWORKS[request.param]
    return Pair(make()).eval(), torch.randn(4, *shape)


def test_the_output_is_the_mean_logits(pair_and_inputs):
    pair, x = pair_and_inputs
    torch.testing.assert_close(pair(x), torch.stack([pair.first(x), pair.second(x)]).mean(dim=0))


def test_the_output_is_the_head_on_its_features(pair_and_inputs):
    pair, x = pair_and_inputs
    torch.testing.assert_close(pair.head(pair.features(x)), pair(x))


def test_every_drawn_weight_of_the_two_differs_and_none_is_shared(pair_and_inputs):
    pair, _ = pair_and_inputs
    for (name, first), second in zip(pair.first.named_parameters(), pair.second.parameters(), strict=True):
        assert first.shape == second.shape
        assert first.data_ptr() != second.data_ptr()
        constant = first.unique().numel() == 1  # those of batch norm
        assert torch.equal(first, second) == constant, name


def test_the_first_network_stays_as_it_is_given():
    net = MLP(6, 3, hidden=[5])
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    assert Pair(net).first is net
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
