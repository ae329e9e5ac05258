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


class TableDataModule(BaseDataModule):
    """Rows of numbers and words with one value each to predict.

    Columns are prepared with statistics of the training rows alone. Numbers: missing ones become the median, and an
    extra column marks where; then mean 0 and standard deviation 1. Words: one 0/1 column for each word seen in
    training; a missing word is a word, an unseen one has all columns 0. Targets stay in their own units.

    There is no official test set: a fifth of the rows, the same whatever the seed, is set aside.

    Args:
        **options: See `BaseDataModule`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._inputs: Tensor | None = None

    @abstractmethod
    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns numbers `[N, A]` (missing ones NaN), words `[N, B]` (missing ones empty) and targets `[N]`."""

    def read_new(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns numbers and words of rows to predict instead of the test rows, if there are any."""
        return None

    def find_split(self) -> None:
        """Does all that `setup` does."""
        self.setup("fit")

    def setup(self, stage: str) -> None:
        """Reads, splits and prepares everything at once: other rows need the training rows' statistics."""
        if self.split is None:
            self._prepare()
        if stage == "predict" and (new := self.read_new()) is not None:
            self.new_set = IndexedDataset(self._prepared(*new), None)

    def _prepare(self) -> None:
        numbers, words, values = self.read()
        targets = torch.from_numpy(values).float()
        training, test = hold_out(targets, HELD_OUT)
        chosen = split_train_val(targets[training], self.train_size, self.val_size, self.seed)
        fitted = training[chosen.train].numpy()
        self._columns = ColumnTransformer(
            [
                ("numbers", _number_columns(), list(range(numbers.shape[1]))),
                ("words", _word_columns(), list(range(numbers.shape[1], numbers.shape[1] + words.shape[1]))),
            ]
        )
        self._columns.fit(_joined(numbers[fitted], words[fitted]))
        self._inputs = self._prepared(numbers, words)
        self.split, self.targets = chosen, targets[training]
        self.train_set = IndexedDataset(self._inputs[training], self.targets, chosen.train)
        self.val_set = IndexedDataset(self._inputs[training], self.targets, chosen.val)
        self.test_set = IndexedDataset(self._inputs[test], targets[test])

    def _prepared(self, numbers: np.ndarray, words: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(self._columns.transform(_joined(numbers, words)), dtype=np.float32))

    @property
    def input_shape(self) -> tuple[int]:
        """`(F,)`: how many prepared columns there are. Reads the table."""
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


def _joined(numbers: np.ndarray, words: np.ndarray) -> np.ndarray:
    return np.concatenate([numbers.astype(object), words.astype(object)], axis=1)


def _number_columns() -> Any:
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())


def _word_columns() -> Any:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
