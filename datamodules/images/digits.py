from functools import cache

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.mnist import MNISTDataModule
from litzoo.datamodules.splits.core import hold_out


class DigitsDataModule(ImageDataModule):
    """1,797 real handwritten digits that come with scikit-learn (UCI, Alpaydin & Kaynak 1998): nothing to download.

    The images, 8×8 with 17 grey levels, are resampled to 1×28×28, so that every module that takes MNIST takes them.
    There is no official test set: a fifth (359), the same whatever the seed, is set aside.

    Args:
        **options: See `ImageDataModule` and `BaseDataModule`; `root` is not used.
    """

    input_shape = (1, 28, 28)
    class_names = tuple("0123456789")
    lookalikes = MNISTDataModule.lookalikes
    mean = (0.3061,)
    std = (0.3250,)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of a part and their classes."""
        images, targets = _digits()
        chosen = hold_out(targets, fraction=0.2)[0 if train else 1]
        return images[chosen], targets[chosen]


@cache
def _digits() -> tuple[Tensor, Tensor]:
    small, targets = load_digits(return_X_y=True)
    small = torch.from_numpy(small).float().reshape(-1, 1, 8, 8)
    images = F.interpolate(small, size=28, mode="bilinear", antialias=False) * (255 / 16)
    return images.round().to(torch.uint8), torch.from_numpy(targets)
