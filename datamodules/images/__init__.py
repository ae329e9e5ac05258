"""Data sets for image classification."""

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.cifar10 import CIFAR10DataModule
from litzoo.datamodules.images.cifar100 import CIFAR100DataModule
from litzoo.datamodules.images.digits import DigitsDataModule
from litzoo.datamodules.images.emnist import EMNISTDataModule
from litzoo.datamodules.images.fashion_mnist import FashionMNISTDataModule
from litzoo.datamodules.images.image_folder import ImageFolderDataModule
from litzoo.datamodules.images.kmnist import KMNISTDataModule
from litzoo.datamodules.images.mnist import MNISTDataModule
from litzoo.datamodules.images.svhn import SVHNDataModule

__all__ = [
    "CIFAR10DataModule",
    "CIFAR100DataModule",
    "DigitsDataModule",
    "EMNISTDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "KMNISTDataModule",
    "MNISTDataModule",
    "SVHNDataModule",
]
