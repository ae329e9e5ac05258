"""Data sets for image classification."""

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.cifar import CIFAR10DataModule
from litzoo.datamodules.images.digits import DigitsDataModule
from litzoo.datamodules.images.fashion_mnist import FashionMNISTDataModule
from litzoo.datamodules.images.image_folder import ImageFolderDataModule
from litzoo.datamodules.images.mnist import MNISTDataModule

__all__ = [
    "CIFAR10DataModule",
    "DigitsDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "MNISTDataModule",
]
