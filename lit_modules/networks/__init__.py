"""Plain torch networks. A classifier's has `features(x)` and a `head` on top of them."""

from litzoo.lit_modules.networks.cnn import CNN
from litzoo.lit_modules.networks.mask_rcnn import MaskRCNN
from litzoo.lit_modules.networks.mlp import MLP
from litzoo.lit_modules.networks.pair import Pair
from litzoo.lit_modules.networks.resnet import ResNet
from litzoo.lit_modules.networks.stages import Stage, stages_of
from litzoo.lit_modules.networks.transfer import TorchvisionNetwork, TransferNetwork
from litzoo.lit_modules.networks.whitened_cnn import WhitenedCNN

__all__ = [
    "CNN",
    "MLP",
    "MaskRCNN",
    "Pair",
    "ResNet",
    "Stage",
    "TorchvisionNetwork",
    "TransferNetwork",
    "WhitenedCNN",
    "stages_of",
]
