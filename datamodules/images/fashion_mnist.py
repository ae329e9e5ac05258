from typing import ClassVar

import torchvision

from litzoo.datamodules.images.mnist import MNISTDataModule


class FashionMNISTDataModule(MNISTDataModule):
    """60,000 + 10,000 pieces of clothing, 1×28×28, in MNIST's format (Xiao et al. 2017); downloaded when absent.

    Args:
        **options: See `ImageDataModule` and `BaseDataModule`.
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
    }  # ours: the pairs that classifiers confuse most
    mean = (0.2860,)
    std = (0.3530,)
