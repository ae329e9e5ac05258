"""Plain torch networks. Each has `features(x)` and `head`, and `forward` is the one after the other."""

from lit_modules.networks.cnn import CNN
from lit_modules.networks.mlp import MLP
from lit_modules.networks.pair import Pair
from lit_modules.networks.resnet import ResNet
from lit_modules.networks.stages import Stage, stages_of
from lit_modules.networks.torchvision_network import TorchvisionNetwork
from lit_modules.networks.transfer_network import TransferNetwork

__all__ = [
    "CNN",
    "MLP",
    "Pair",
    "ResNet",
    "Stage",
    "TorchvisionNetwork",
    "TransferNetwork",
    "stages_of",
]
