import pytest
import torch
from torch import nn

from litzoo.lit_modules.networks import CNN, MLP, Pair, ResNet, TorchvisionNetwork, stages_of


def cnn(**options):
    return CNN((1, 28, 28), 10, widths=(4, 8), **options)


NAMES = {  # network -> how it is made, the stages before the head
    "resnet": (lambda: ResNet((3, 32, 32), 10, 18), ["conv1", "layer1", "layer2", "layer3", "layer4"]),
    "resnet of torchvision": (
        lambda: TorchvisionNetwork("resnet18", (3, 32, 32), 10),
        ["conv1", "layer1", "layer2", "layer3", "layer4"],
    ),
    "alexnet": (
        lambda: TorchvisionNetwork("alexnet", (3, 64, 64), 10),
        ["features.0", "features.3", "features.6", "classifier"],
    ),
    "shufflenet": (
        lambda: TorchvisionNetwork("shufflenet_v2_x0_5", (3, 32, 32), 10),
        ["conv1", "stage2", "stage3", "stage4", "conv5"],
    ),
    "cnn": (lambda: cnn(depth=2, dropout=0.1), ["0", "8"]),
    "cnn with linear layers": (lambda: cnn(hidden=(16, 8)), ["0", "4", "9", "11"]),
    "mlp": (lambda: MLP(784, 10, (32, 16), dropout=0.1, batch_norm=True), ["1", "5"]),
    "linear": (lambda: MLP(784, 10), []),
}


@pytest.mark.parametrize("name", NAMES)
def test_stages_are_the_usual_ones_and_contain_every_weight_once(name):
    make, expected = NAMES[name]
    net = make()
    stages = stages_of(net)
    assert [stage.name for stage in stages] == [*(f"trunk.{each}" for each in expected), "head"]
    weights = [id(weight) for stage in stages for weight in stage.weights]
    assert sorted(weights) == sorted(map(id, net.parameters()))
    layers = {id(layer) for stage in stages for module in stage.modules for layer in module.modules()}
    acting = (module for module in net.modules() if isinstance(module, nn.Dropout) or list(module.parameters(False)))
    assert {id(module) for module in acting} <= layers


@pytest.mark.parametrize("name", ["resnet", "cnn with linear layers", "mlp"])
def test_stages_are_in_the_order_of_the_forward_pass(name):
    net = NAMES[name][0]().eval()
    order = []
    for stage in stages_of(net):
        first = next(module for module in stage.modules if list(module.parameters()))
        first.register_forward_hook(lambda *_, stage=stage: order.append(stage.name))
    net(torch.randn(2, *((3, 32, 32) if name == "resnet" else (1, 28, 28))))
    assert order == [stage.name for stage in stages_of(net)]


def test_weights_outside_all_modules_belong_to_the_first_stage():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.zeros(3))
            self.body = nn.Linear(3, 3)
            self.head = nn.Linear(3, 2)

    first, last = stages_of(net := Net())
    assert net.position is first.weights[-1]
    assert len(last.weights) == 2


def test_two_networks_have_no_stages():
    with pytest.raises(ValueError, match="a Pair has no stages"):
        stages_of(Pair(cnn()))
