"""Splits into training, validation and test set; class imbalance, label noise and hidden labels."""

from litzoo.datamodules.splits.file_noise import FileNoise
from litzoo.datamodules.splits.human_noise import HumanNoise
from litzoo.datamodules.splits.imbalance import ClassCounts, Imbalance, LongTailed, StepImbalance
from litzoo.datamodules.splits.label_noise import AsymmetricNoise, LabelNoise, MatrixNoise, SymmetricNoise

__all__ = [
    "AsymmetricNoise",
    "ClassCounts",
    "FileNoise",
    "HumanNoise",
    "Imbalance",
    "LabelNoise",
    "LongTailed",
    "MatrixNoise",
    "StepImbalance",
    "SymmetricNoise",
]
