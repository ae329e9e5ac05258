"""Plain torch networks. Each has `features(x)` and `head`, and `forward` is the one after the other."""

from lit_modules.networks.cnn import CNN
from lit_modules.networks.mlp import MLP
from lit_modules.networks.pair import Pair
from lit_modules.networks.resnet import ResNet

__all__ = ["CNN", "MLP", "Pair", "ResNet"]
