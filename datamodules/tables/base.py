"""The base class of datamodules of tables, and the preprocessing of their columns."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor

from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.splits.core import hold_out, split_train_val

HELD_OUT = 0.2
"""Fraction of the rows in the test set."""


class TableDataModule(BaseDataModule):
    """Tables with one value per row to predict.

    Columns are preprocessed with statistics of the training rows only. Numeric columns: missing values are replaced by
    the median and marked in an additional indicator column, then standardised. Categorical columns are one-hot encoded;
    a missing value is a category, and a category that does not occur in training is encoded as zeros. Targets keep
    their units.

    There is no official test set: a fifth of the rows is held out, independently of the seed.

    Args:
        **options: See `BaseDataModule`.
    """

    links = ("input_shape", "target_mean", "target_std")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._inputs: Tensor | None = None

    @abstractmethod
    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns numeric columns `[N, A]`, missing as NaN, categorical ones `[N, B]`, missing empty, and targets."""

    def read_new(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns numeric and categorical columns of rows to predict instead of the test set, if there are any."""
        return None

    def find_split(self) -> None:
        """Reads, splits and preprocesses the table, like `setup`."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Reads, splits and preprocesses all parts at once, since all depend on statistics of the training rows."""
        if self.split is None:
            self._prepare()
        if stage == "predict" and (new := self.read_new()) is not None:
            self.new_set = IndexedDataset(self._preprocessed(*new), None)

    def _prepare(self) -> None:
        numbers, categories, values = self.read()
        targets = torch.from_numpy(values).float()
        training, test = hold_out(targets, HELD_OUT)
        split = split_train_val(targets[training], self.train_size, self.val_size, self.seed)
        fitted = training[split.train].numpy()
        self._columns = ColumnTransformer(
            [
                ("numbers", _numeric_pipeline(), list(range(numbers.shape[1]))),
                (
                    "categories",
                    _one_hot_encoder(),
                    list(range(numbers.shape[1], numbers.shape[1] + categories.shape[1])),
                ),
            ]
        )
        self._columns.fit(_joined(numbers[fitted], categories[fitted]))
        self._inputs = self._preprocessed(numbers, categories)
        self.split, self.targets = split, targets[training]
        self.train_set = IndexedDataset(self._inputs[training], self.targets, split.train)
        self.val_set = IndexedDataset(self._inputs[training], self.targets, split.val)
        self.test_set = IndexedDataset(self._inputs[test], targets[test])

    def _preprocessed(self, numbers: np.ndarray, categories: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(self._columns.transform(_joined(numbers, categories)), dtype=np.float32))

    @property
    def input_shape(self) -> tuple[int]:
        """`(F,)`: the number of preprocessed columns. Reads the table."""
        self.setup("fit")
        assert self._inputs is not None
        return (self._inputs.shape[1],)

    @property
    def target_mean(self) -> float:
        """Mean of the training targets. Reads the table."""
        return self._training_targets().mean().item()

    @property
    def target_std(self) -> float:
        """Standard deviation of the training targets. Reads the table."""
        return self._training_targets().std().item()

    def _training_targets(self) -> Tensor:
        self.setup("fit")
        assert self.train_set is not None
        return self.train_set.targets[self.train_set.indices].double()


def _joined(numbers: np.ndarray, categories: np.ndarray) -> np.ndarray:
    return np.concatenate([numbers.astype(object), categories.astype(object)], axis=1)


def _numeric_pipeline() -> Any:
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())


def _one_hot_encoder() -> Any:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
