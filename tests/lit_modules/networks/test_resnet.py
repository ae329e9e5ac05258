import pytest
import torch

from litzoo.lit_modules.networks import ResNet


def parameters(net):
    return sum(weight.numel() for weight in net.parameters())


def layer1_size(net, shape):
    sizes = []
    net.trunk.layer1.register_forward_hook(lambda layer, x, output: sizes.append(tuple(output.shape[2:])))
    logits = net.eval()(torch.randn(2, *shape))
    return logits.shape, sizes[0]


@pytest.mark.parametrize(
    ("depth", "stem", "classes", "published"),
    [
        (18, "large", 1000, 11_689_512),
        (34, "large", 1000, 21_797_672),
        (50, "large", 1000, 25_557_032),
        (18, "small", 10, 11_173_962),
    ],
)
def test_number_of_parameters_is_the_published_one(depth, stem, classes, published):
    assert parameters(ResNet((3, 32, 32), classes, depth, stem)) == published


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("stem", "size"), [("small", 32), ("large", 8)])
def test_the_small_stem_keeps_the_size_of_the_image(channels, stem, size):
    net = ResNet((channels, 32, 32), 7, stem=stem)
    assert layer1_size(net, (channels, 32, 32)) == ((2, 7), (size, size))


@pytest.mark.parametrize(("depth", "features"), [(18, 512), (50, 2048)])
def test_output_is_the_head_on_the_features(depth, features):
    net, x = ResNet((1, 16, 16), 7, depth).eval(), torch.randn(2, 1, 16, 16)
    assert net.features(x).shape == (2, features)
    assert torch.equal(net(x), net.head(net.features(x)))
