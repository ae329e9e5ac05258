"""Tables with numeric and categorical columns."""

from litzoo.datamodules.tables.base import TableDataModule
from litzoo.datamodules.tables.csv import CSVRegressionDataModule
from litzoo.datamodules.tables.diabetes import DiabetesDataModule

__all__ = ["CSVRegressionDataModule", "DiabetesDataModule", "TableDataModule"]
