"""A data set in memory that serves whole batches."""

import copy
from collections.abc import Sequence
from typing import Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from litzoo.datamodules.batch import Batch

T = TypeVar("T")


class Rows(Protocol):
    """The source of a data set's rows: a tensor, or an object that reads them from files on demand."""

    def __len__(self) -> int:
        """Returns the number of rows."""
        ...

    def __getitem__(self, index: Tensor, /) -> Tensor:
        """Returns one row for a scalar index, and rows `[n, ...]` for an index `[n]`."""
        ...

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Returns rows `[n, ...]`; `dim` is 0."""
        ...


class IndexedDataset(Dataset[Batch]):
    """Selected rows of a data set; fetches a whole batch with one index operation instead of one call per sample.

    Args:
        inputs: All inputs, `N` rows of any shape and type. They are not copied.
        targets: All targets `[N]`; `None` for unlabeled samples.
        indices: Indices of the selected rows, int64 `[n]`; `None` for all.
        clean_targets: The true targets `[N]`, if `targets` are corrupted or absent.
    """

    def __init__(
        self, inputs: Rows, targets: Tensor | None, indices: Tensor | None = None, clean_targets: Tensor | None = None
    ) -> None:
        self.inputs = inputs
        self.indices = torch.arange(len(inputs)) if indices is None else indices
        columns = {"input": inputs, "target": targets, "clean_target": clean_targets}
        self.columns = {name: rows for name, rows in columns.items() if rows is not None}

    @property
    def targets(self) -> Tensor:
        """All targets `[N]`, as used for training."""
        return cast(Tensor, self.columns["target"])

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, chosen: Tensor) -> "IndexedDataset":
        """Returns the data set of the rows that are chosen, bool `[n]`, without copying them."""
        other = copy.copy(self)
        other.indices = self.indices[chosen]
        return other

    def __getitem__(self, position: int | np.ndarray) -> Batch:
        """Returns one sample, or a whole batch for an array of positions."""
        if isinstance(position, np.ndarray):
            return self._rows(self.indices.index_select(0, torch.from_numpy(position)))
        index = self.indices[position]
        return cast(Batch, {"index": index, **{name: rows[index] for name, rows in self.columns.items()}})

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """Returns a whole batch; `torch.utils.data.DataLoader` calls this method if it exists."""
        return self._rows(self.indices.index_select(0, torch.tensor(positions)))

    def _rows(self, index: Tensor) -> Batch:
        # `index_select` copies whole rows, five to ten times as fast as `inputs[index]`.
        rows = {name: rows.index_select(0, index) for name, rows in self.columns.items()}
        return cast(Batch, {"index": index, **rows})


def identity(batch: T) -> T:
    """Collate function that returns the batch unchanged, since `IndexedDataset` serves whole batches."""
    return batch
