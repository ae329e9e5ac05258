import pytest
import torch
import torchvision
from torch import nn

from litzoo.lit_modules.networks import TorchvisionNetwork

# Name -> the smallest side of a square image; one network of each kind but those that take seconds to make.
SMALLEST = {
    "alexnet": 63,
    "densenet121": 29,
    "efficientnet_b0": 1,
    "googlenet": 15,
    "mnasnet0_5": 1,
    "mobilenet_v2": 1,
    "mobilenet_v3_small": 1,
    "regnet_x_400mf": 1,
    "resnet18": 1,
    "shufflenet_v2_x0_5": 1,
    "squeezenet1_1": 17,
    "vit_b_32": 224,
}


@pytest.mark.parametrize("name", SMALLEST)
def test_every_network_has_a_new_head_and_is_refused_images_that_are_too_small(name):
    side = SMALLEST[name]
    net = TorchvisionNetwork(name, (1, side, side), num_classes=5).eval()
    x = torch.randn(2, 1, side, side)
    with torch.no_grad():
        features, logits = net.features(x), net(x)
    assert features.ndim == 2
    assert logits.shape == (2, 5)
    assert torch.equal(logits, net.head(features))
    assert isinstance(net.head, nn.Linear)
    if side > 1:
        with pytest.raises(ValueError, match=rf"{name} takes no images of {side - 1}×{side - 1} .* {side}×{side} is"):
            TorchvisionNetwork(name, (1, side - 1, side - 1), num_classes=5)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "densenet121", "googlenet"])
def test_with_the_weights_of_torchvisions_own_network_the_features_are_what_its_last_layer_sees(name):
    options = {"init_weights": True, "transform_input": True} if name == "googlenet" else {}
    theirs = torchvision.models.get_model(name, **options).eval()
    state = theirs.state_dict()
    if name == "densenet121":  # as in the file that torchvision offers
        state = {
            key.replace("norm1", "norm.1").replace("conv1", "conv.1") if "denselayer" in key else key: value
            for key, value in state.items()
        }
    ours = TorchvisionNetwork(name, (3, 64, 64), num_classes=5).eval()
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    ours.keep_trunk(state)
    ours.trunk.load_state_dict(state)
    seen = []
    last = [module for module in theirs.modules() if isinstance(module, nn.Linear)] or [theirs.classifier[1]]
    last[-1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        theirs(x)
        features = ours.features(x)
    expected = seen[0] if seen[0].ndim == 2 else seen[0].relu().mean(dim=(2, 3))  # SqueezeNet pools at the end
    torch.testing.assert_close(features, expected)


def test_grey_images_are_repeated_and_resized_smoothly():
    net = TorchvisionNetwork("resnet18", (1, 28, 20), num_classes=3, size=(40, 32)).eval()
    seen = []
    net.trunk.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    x = torch.rand(2, 1, 28, 20)
    with torch.no_grad():
        net(x)
    resized = torchvision.transforms.v2.functional.resize(x, [40, 32], antialias=True)
    torch.testing.assert_close(seen[0], resized.repeat(1, 3, 1, 1))


def test_images_are_converted_from_one_normalisation_to_another():
    net = TorchvisionNetwork("resnet18", (1, 8, 8), num_classes=3)
    net.convert_normalisation(((0.3,), (0.2,)), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    seen = []
    net.eval().trunk.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    pixels = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        net((pixels - 0.3) / 0.2)
    expected = torchvision.transforms.v2.functional.normalize(
        pixels.repeat(1, 3, 1, 1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet81", (3, 32, 32), 5), "'resnet81' is none of torchvision's .* nearest: .*resnet18"),
        (("VGG-16", (3, 32, 32), 5), "'VGG-16' is none .*vgg16"),
        (("fcn_resnet50", (3, 32, 32), 5), "'fcn_resnet50' is none of torchvision's"),
        (("resnet18", (2, 32, 32), 5), r"3 channels, or grey ones; these are \[2, 32, 32\]"),
        (("resnet18", (10,), 5), r"these are \[10\]"),
        (("resnet18", (3, 32, 32), 5, 0), "model.size: 0 is no height and width"),
        (("resnet18", (3, 32, 32), 5, (3, 4, 5)), "model.size: .* is no height and width"),
    ],
)
def test_invalid_options_are_refused_with_the_valid_ones(arguments, message):
    with pytest.raises(ValueError, match=message):
        TorchvisionNetwork(*arguments)
