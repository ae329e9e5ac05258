from typing import ClassVar

import torchvision

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.idx_files import IDXImages


class MNISTDataModule(IDXImages, ImageDataModule):
    """MNIST: 60,000 + 10,000 handwritten digits, 1×28×28 (LeCun et al. 1998), downloaded if absent.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.MNIST
    class_names = tuple("0123456789")
    lookalikes: ClassVar = {"2": "7", "3": "8", "5": "6", "6": "5", "7": "1"}  # Patrini et al. 2017
    mean = (0.1307,)
    std = (0.3081,)
