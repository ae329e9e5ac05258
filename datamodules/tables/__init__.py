"""Tables with numbers, booleans, dates and categories: regression and classification."""

from litzoo.datamodules.tables.base import TableDataModule
from litzoo.datamodules.tables.csv import CSVClassificationDataModule, CSVRegressionDataModule
from litzoo.datamodules.tables.embedded import BreastCancerDataModule, DiabetesDataModule, WineDataModule
from litzoo.datamodules.tables.reading import TableReading

__all__ = [
    "BreastCancerDataModule",
    "CSVClassificationDataModule",
    "CSVRegressionDataModule",
    "DiabetesDataModule",
    "TableDataModule",
    "TableReading",
    "WineDataModule",
]
