"""Plain torch networks. Those of classifiers have `features(x)` and `head`, one after the other."""

from lit_modules.networks.cnn import CNN
from lit_modules.networks.mask_rcnn import MaskRCNN
from lit_modules.networks.mask_rcnn_parts import DetectorSize
from lit_modules.networks.mlp import MLP
from lit_modules.networks.pair import Pair
from lit_modules.networks.resnet import ResNet
from lit_modules.networks.stages import Stage, stages_of
from lit_modules.networks.torchvision_network import TorchvisionNetwork
from lit_modules.networks.transfer_network import TransferNetwork

__all__ = [
    "CNN",
    "MLP",
    "DetectorSize",
    "MaskRCNN",
    "Pair",
    "ResNet",
    "Stage",
    "TorchvisionNetwork",
    "TransferNetwork",
    "stages_of",
]
