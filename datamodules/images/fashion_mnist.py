from typing import ClassVar

import torchvision

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.idx_files import IDXImages


class FashionMNISTDataModule(IDXImages, ImageDataModule):
    """Fashion-MNIST: 60,000 + 10,000 pieces of clothing, 1×28×28 (Xiao et al. 2017), downloaded if absent.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.FashionMNIST
    class_names = tuple(torchvision.datasets.FashionMNIST.classes)
    lookalikes: ClassVar = {
        "T-shirt/top": "Shirt",
        "Shirt": "T-shirt/top",
        "Pullover": "Coat",
        "Coat": "Pullover",
        "Sandal": "Sneaker",
        "Ankle boot": "Sneaker",
    }  # our choice: the pairs that classifiers confuse most
    mean = (0.2860,)
    std = (0.3530,)
