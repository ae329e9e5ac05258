"""The files that samples come from, for tables in which one looks for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

ABSENT = -2
"""Label of a sample that has not been seen, and true label where none is known; `UNKNOWN`, -1, is a label too."""

Reduce = Callable[[Tensor, str], Tensor]
"""Puts a tensor of all processes together, by `sum` or `max`; every process has to call it."""


class SampleColumn(NamedTuple):
    """What is kept of each sample: the value before it is seen, its type, and how several processes agree on it."""

    empty: float
    kind: torch.dtype
    agree: Literal["sum", "max"]


class SampleColumns:
    """One entry for each position in the training set, in columns on the device; base of what is kept of samples.

    Room is made as samples are seen: a callback is not told how large the training set is. What the processes have
    seen in an epoch is put together at its end, so that all of them hold the same.

    Args:
        columns: What there is, by name.

    Attributes:
        seen: Of the whole epochs so far, `[N]` each.
        epoch: Of this process in the epoch that is under way, likewise.
    """

    def __init__(self, columns: Mapping[str, SampleColumn]) -> None:
        self.columns = columns
        self.seen = self._empty(0, torch.device("cpu"))
        self.epoch = self._empty(0, torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        """Moves to the device that the model is on."""
        self.seen, self.epoch = (
            {name: values.to(device) for name, values in columns.items()} for columns in (self.seen, self.epoch)
        )

    def make_room(self, index: Tensor) -> None:
        """Enlarges the epoch's columns for samples at positions `[B]`."""
        self.epoch = self._enlarged(self.epoch, int(index.max()) + 1)

    def update_pending(self) -> None:
        """Puts into the epoch's columns what has only been noted so far."""

    def agree(self, epoch: dict[str, Tensor], reduce: Reduce) -> dict[str, Tensor]:
        """Puts the epoch's columns of all processes together; they are overwritten."""
        return {name: reduce(epoch[name], column.agree) for name, column in self.columns.items()}

    def end_epoch(self, reduce: Reduce, forget: bool = False) -> dict[str, Tensor]:
        """Adds the epoch to what has been seen; every process has to call this.

        Args:
            reduce: Puts a tensor of all processes together, by `sum` or `max`.
            forget: Whether the sums of earlier epochs no longer count.

        Returns:
            The columns of this epoch alone, of all processes.
        """
        self.update_pending()
        device = _first(self.epoch).device
        here = max(len(_first(self.epoch)), len(_first(self.seen)))
        size = int(reduce(torch.tensor(here, device=device), "max"))
        seen, new = self._enlarged(self.seen, size), self.agree(self._enlarged(self.epoch, size), reduce)
        for name, (empty, _, agree) in self.columns.items():
            if agree == "sum":
                seen[name] = new[name] if forget else seen[name] + new[name]
            else:
                seen[name] = torch.where(new[name] == empty, seen[name], new[name])
        self.seen, self.epoch = seen, self._empty(size, device)
        return new

    def _empty(self, size: int, device: torch.device) -> dict[str, Tensor]:
        return {
            name: torch.full((size,), empty, dtype=kind, device=device)
            for name, (empty, kind, _) in self.columns.items()
        }

    def _enlarged(self, columns: dict[str, Tensor], size: int) -> dict[str, Tensor]:
        if (more := size - len(_first(columns))) <= 0:
            return columns
        added = self._empty(more, _first(columns).device)
        return {name: torch.cat([values, added[name]]) for name, values in columns.items()}


def label_names(class_names: Sequence[str]) -> list[str]:
    """Returns a list in which every label finds its name, `ABSENT` (-2) and `UNKNOWN` (-1) too."""
    return [*class_names, "", "unknown"]


def _first(columns: Mapping[str, Tensor]) -> Tensor:
    return next(iter(columns.values()))


@runtime_checkable
class NamesFiles(Protocol):
    """A datamodule that knows from which file a sample comes."""

    def file_names(self, part: Literal["train", "test", "predict"], index: Tensor) -> list[str]:
        """Returns the files of samples at positions `[n]` of a part; none where samples are not files."""
        ...


def file_column(datamodule: Any, part: Literal["train", "test", "predict"], index: Tensor) -> dict[str, list[str]]:
    """Returns the column `file` of a table of samples at positions `[n]`, or no column."""
    files = datamodule.file_names(part, index) if isinstance(datamodule, NamesFiles) else []
    return {"file": files} if files else {}
