from typing import ClassVar

import torchvision

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.cifar import CIFARFiles


class CIFAR10DataModule(CIFARFiles, ImageDataModule):
    """CIFAR-10: 50,000 + 10,000 images of animals and vehicles, 3×32×32 (Krizhevsky 2009), downloaded if absent.

    Read from torchvision's files, `cifar-10-batches-py`, if their checksums are those of the original; else from class
    folders `cifar10/{train,test}/<class>/`, class by class in CIFAR-10's order and sorted by name, if there are any.
    Which of them was read is logged, and noted in `splits.json`.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.CIFAR10
    title, class_folders = "CIFAR-10", "cifar10"
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    lookalikes: ClassVar = {
        "truck": "automobile",
        "bird": "airplane",
        "deer": "horse",
        "cat": "dog",
        "dog": "cat",
    }  # Patrini et al. 2017
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
