"""Datamodules, with splits, class imbalance, label noise, samplers and augmentation."""

from litzoo.datamodules import images, segmentation, splits, tables, transforms
from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.batch import (
    UNKNOWN,
    Batch,
    DetectionBatch,
    DetectionTarget,
    SemiSupervisedBatch,
    UnlabeledBatch,
)
from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.from_datasets import ArrayDatasetsDataModule, ImageDatasetsDataModule, from_datasets
from litzoo.datamodules.images import *
from litzoo.datamodules.samplers import BalancedBatches, EpochBatches, WeightedBatches
from litzoo.datamodules.segmentation import *
from litzoo.datamodules.splits import *
from litzoo.datamodules.tables import *
from litzoo.datamodules.transforms import *

__all__ = [
    "UNKNOWN",
    "ArrayDatasetsDataModule",
    "BalancedBatches",
    "BaseDataModule",
    "Batch",
    "DetectionBatch",
    "DetectionTarget",
    "EpochBatches",
    "ImageDatasetsDataModule",
    "IndexedDataset",
    "SemiSupervisedBatch",
    "UnlabeledBatch",
    "WeightedBatches",
    "from_datasets",
]
__all__ += images.__all__
__all__ += tables.__all__
__all__ += segmentation.__all__
__all__ += splits.__all__
__all__ += transforms.__all__
