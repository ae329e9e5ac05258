"""What is trained: LightningModules, and the networks, losses and metrics they are made of."""

from litzoo.lit_modules import classifiers, losses, semi_supervised
from litzoo.lit_modules.base import LitModule
from litzoo.lit_modules.classifiers import *
from litzoo.lit_modules.losses import *
from litzoo.lit_modules.mask_rcnn import MaskRCNNSegmenter
from litzoo.lit_modules.mixing import BatchMix, CutMix, MixUp
from litzoo.lit_modules.optimization import CosineWithWarmup, Triangular
from litzoo.lit_modules.regressor import Regressor
from litzoo.lit_modules.semi_supervised import *

__all__ = [
    "BatchMix",
    "CosineWithWarmup",
    "CutMix",
    "LitModule",
    "MaskRCNNSegmenter",
    "MixUp",
    "Regressor",
    "Triangular",
]
__all__ += classifiers.__all__
__all__ += losses.__all__
__all__ += semi_supervised.__all__
