"""Tables with numbers, booleans, dates and categories: regression and classification."""

from litzoo.datamodules.tables.base import TableDataModule
from litzoo.datamodules.tables.csv import CSVClassificationDataModule, CSVRegressionDataModule
from litzoo.datamodules.tables.embedded import BreastCancerDataModule, DiabetesDataModule, WineDataModule
from litzoo.datamodules.tables.reading import TableReading
from litzoo.datamodules.tables.targets import NumberTargets, RowClasses

__all__ = [
    "BreastCancerDataModule",
    "CSVClassificationDataModule",
    "CSVRegressionDataModule",
    "DiabetesDataModule",
    "NumberTargets",
    "RowClasses",
    "TableDataModule",
    "TableReading",
    "WineDataModule",
]
