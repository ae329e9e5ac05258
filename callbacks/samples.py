"""Per-sample records of a training, kept in tensors and merged across processes; labels and file names for tables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from litzoo.datamodules import BaseDataModule

ABSENT = -2
"""Label of a sample that has not been seen, or whose true label is not known. (`UNKNOWN`, -1, is a label.)"""

Reduce = Callable[[Tensor, str], Tensor]
"""Reduces a tensor over all processes by `sum` or `max`; every process has to call it."""


class SampleColumn(NamedTuple):
    """One value, or one row of values, for each sample.

    Attributes:
        empty: Value of samples that have not been seen.
        dtype: Type of the values.
        reduction: How the values of several processes are merged.
        width: Values in a row; `None` for a single value.
    """

    empty: float
    dtype: torch.dtype
    reduction: Literal["sum", "max"]
    width: int | None = None


class SampleColumns:
    """Values for each position in the training set, collected in every epoch; base class of per-sample statistics.

    The columns stay on the device and grow as samples are seen, since a callback does not know the size of the
    training set. At the end of an epoch the columns of all processes are merged, so that all hold the same.

    Args:
        columns: Name -> description of the column.

    Attributes:
        seen: Name -> values `[N]`, or `[N, width]`, of all complete epochs.
        epoch: Name -> values of the current epoch, in this process.
    """

    def __init__(self, columns: Mapping[str, SampleColumn]) -> None:
        self.columns = columns
        self.seen = self._empty(0, torch.device("cpu"))
        self.epoch = self._empty(0, torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        """Moves all columns to a device."""
        self.seen, self.epoch = (
            {name: values.to(device) for name, values in columns.items()} for columns in (self.seen, self.epoch)
        )

    def grow_to_hold(self, index: Tensor) -> None:
        """Enlarges the columns of the current epoch to hold samples at positions `[B]`."""
        self.epoch = self._enlarged(self.epoch, int(index.max()) + 1)

    def update_pending(self) -> None:
        """Writes batches that have only been queued into the columns of the current epoch."""

    def merge_processes(self, epoch: dict[str, Tensor], reduce: Reduce) -> dict[str, Tensor]:
        """Returns the columns of an epoch merged over all processes; `epoch` is overwritten."""
        return {name: reduce(epoch[name], column.reduction) for name, column in self.columns.items()}

    def end_epoch(self, reduce: Reduce, reset_sums: bool = False) -> dict[str, Tensor]:
        """Merges the current epoch over all processes and adds it to `seen`; every process has to call it.

        Args:
            reduce: Reduces a tensor over all processes by `sum` or `max`.
            reset_sums: Whether to discard the sums of earlier epochs.

        Returns:
            The merged columns of this epoch alone.
        """
        self.update_pending()
        device = _first(self.epoch).device
        own_size = max(len(_first(self.epoch)), len(_first(self.seen)))
        size = int(reduce(torch.tensor(own_size, device=device), "max"))
        seen, new = self._enlarged(self.seen, size), self.merge_processes(self._enlarged(self.epoch, size), reduce)
        for name, (empty, _, reduction, _) in self.columns.items():
            if reduction == "sum":
                seen[name] = new[name] if reset_sums else seen[name] + new[name]
            else:
                seen[name] = torch.where(new[name] == empty, seen[name], new[name])
        self.seen, self.epoch = seen, self._empty(size, device)
        return new

    def state_within_epoch(self) -> dict[str, Any]:
        """Returns the columns of the current epoch in this process, on the CPU."""
        self.update_pending()
        return {name: values.cpu() for name, values in self.epoch.items()}

    def load_state_within_epoch(self, state: dict[str, Any]) -> None:
        """Restores what `state_within_epoch` returned, on the device of the columns."""
        device = _first(self.epoch).device
        self.epoch = {name: state[name].to(device) for name in self.columns}

    def _empty(self, size: int, device: torch.device) -> dict[str, Tensor]:
        return {
            name: torch.full((size,) if width is None else (size, width), empty, dtype=dtype, device=device)
            for name, (empty, dtype, _, width) in self.columns.items()
        }

    def _enlarged(self, columns: dict[str, Tensor], size: int) -> dict[str, Tensor]:
        if (more := size - len(_first(columns))) <= 0:
            return columns
        added = self._empty(more, _first(columns).device)
        return {name: torch.cat([values, added[name]]) for name, values in columns.items()}


def label_names(class_names: Sequence[str]) -> list[str]:
    """Returns a list that maps every label to its name, also `UNKNOWN` (-1) and `ABSENT` (-2, an empty name)."""
    return [*class_names, "", "unknown"]


def file_column(datamodule: Any, part: Literal["train", "test", "predict"], index: Tensor) -> dict[str, list[Any]]:
    """Returns the columns that say which samples those at positions `[n]` are: their file, or row and identifiers."""
    return datamodule.sample_columns(part, index) if isinstance(datamodule, BaseDataModule) else {}


def _first(columns: Mapping[str, Tensor]) -> Tensor:
    return next(iter(columns.values()))
