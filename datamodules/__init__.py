"""What is trained on: data sets, splits, label corruption, samplers, augmentation."""

from datamodules.base import BaseDataModule
from datamodules.batch import UNKNOWN, Batch, DetectionBatch, DetectionTarget, SemiSupervisedBatch, UnlabeledBatch
from datamodules.cifar10 import CIFAR10DataModule
from datamodules.class_sampled import ClassSampledDataModule
from datamodules.class_split import ClassRequest
from datamodules.classified import ClassifiedDataModule
from datamodules.csv_regression import CSVRegressionDataModule
from datamodules.dataset import IndexedDataset, Rows
from datamodules.diabetes import DiabetesDataModule
from datamodules.digits import DigitsDataModule
from datamodules.epoch_batches import BalancedBatches, EpochBatches, WeightedBatches
from datamodules.fashion_mnist import FashionMNISTDataModule
from datamodules.image import ImageDataModule
from datamodules.image_folder import ImageFolderDataModule
from datamodules.imbalance import ClassCounts, Imbalance, LongTailed, StepImbalance
from datamodules.label_noise import AsymmetricNoise, LabelNoise, MatrixNoise, SymmetricNoise
from datamodules.mask_augment import Outlined, QuarterTurn
from datamodules.mnist import MNISTDataModule
from datamodules.penn_fudan import PennFudanDataModule
from datamodules.per_sample import PerSample
from datamodules.picture_files import DamagedPictureError, PictureReader, PicturesOnDisk
from datamodules.random_appearance import RandomErase, RandomTone
from datamodules.random_geometry import RandomAffine, RandomFlip, RandomShift
from datamodules.segmentation import SegmentationDataModule
from datamodules.segmentation_dataset import AnnotatedPicture, NewPictures, SegmentationDataset
from datamodules.shapes import ShapesDataModule
from datamodules.split_record import SplitRecord
from datamodules.splits import Split
from datamodules.table import TableDataModule

__all__ = [
    "UNKNOWN",
    "AnnotatedPicture",
    "AsymmetricNoise",
    "BalancedBatches",
    "BaseDataModule",
    "Batch",
    "CIFAR10DataModule",
    "CSVRegressionDataModule",
    "ClassCounts",
    "ClassRequest",
    "ClassSampledDataModule",
    "ClassifiedDataModule",
    "DamagedPictureError",
    "DetectionBatch",
    "DetectionTarget",
    "DiabetesDataModule",
    "DigitsDataModule",
    "EpochBatches",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "Imbalance",
    "IndexedDataset",
    "LabelNoise",
    "LongTailed",
    "MNISTDataModule",
    "MatrixNoise",
    "NewPictures",
    "Outlined",
    "PennFudanDataModule",
    "PerSample",
    "PictureReader",
    "PicturesOnDisk",
    "QuarterTurn",
    "RandomAffine",
    "RandomErase",
    "RandomFlip",
    "RandomShift",
    "RandomTone",
    "Rows",
    "SegmentationDataModule",
    "SegmentationDataset",
    "SemiSupervisedBatch",
    "ShapesDataModule",
    "Split",
    "SplitRecord",
    "StepImbalance",
    "SymmetricNoise",
    "TableDataModule",
    "UnlabeledBatch",
    "WeightedBatches",
]
