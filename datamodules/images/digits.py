from functools import cache

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.mnist import MNISTDataModule
from litzoo.datamodules.splits.core import hold_out


class DigitsDataModule(ImageDataModule):
    """1,797 handwritten digits that come with scikit-learn (UCI, Alpaydin & Kaynak 1998): no download.

    The images, 8×8 with 17 grey levels, are resized to 1×28×28, so that modules for MNIST fit. There is no official
    test set: a fifth (359) is held out, independently of the seed.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`; `root` is not used.
    """

    input_shape = (1, 28, 28)
    class_names = tuple("0123456789")
    lookalikes = MNISTDataModule.lookalikes
    mean = (0.3061,)
    std = (0.3250,)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of the training or test set and their classes."""
        images, targets = _digits()
        chosen = hold_out(targets, fraction=0.2)[0 if train else 1]
        return images[chosen], targets[chosen]


@cache
def _digits() -> tuple[Tensor, Tensor]:
    small, targets = load_digits(return_X_y=True)
    small = torch.from_numpy(small).float().reshape(-1, 1, 8, 8)
    images = F.interpolate(small, size=28, mode="bilinear", antialias=False) * (255 / 16)
    return images.round().to(torch.uint8), torch.from_numpy(targets)
