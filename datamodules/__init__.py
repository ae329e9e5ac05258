"""What is trained on: data sets, splits, augmentation."""

from datamodules.augment import RandomAffine, RandomFlip, RandomShift
from datamodules.base import BaseDataModule
from datamodules.batch import UNKNOWN, Batch
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.csv_regression import CSVRegressionDataModule
from datamodules.dataset import InMemoryDataset
from datamodules.diabetes import DiabetesDataModule
from datamodules.digits import DigitsDataModule
from datamodules.fashion_mnist import FashionMNISTDataModule
from datamodules.image import ImageDataModule
from datamodules.mnist import MNISTDataModule
from datamodules.sampler import EpochShuffle
from datamodules.splits import Split
from datamodules.table import TableDataModule

__all__ = [
    "UNKNOWN",
    "BaseDataModule",
    "Batch",
    "CIFAR10DataModule",
    "CSVRegressionDataModule",
    "DiabetesDataModule",
    "DigitsDataModule",
    "EpochShuffle",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "InMemoryDataset",
    "MNISTDataModule",
    "RandomAffine",
    "RandomFlip",
    "RandomShift",
    "Split",
    "TableDataModule",
]
