from typing import Any

import torch
from torch import Tensor

from litzoo.lit_modules.distributed import largest_of_all_processes, rows_of_all_processes
from litzoo.lit_modules.losses.base import ClassificationLoss


class _SampleRowsLoss(ClassificationLoss):
    """Base class of losses that keep a row of numbers for each training sample.

    The rows are saved in checkpoints. In distributed training every process holds all of them, and stores what the
    others computed. A subclass reads them with `_rows_of` and, in training, replaces them with `_store`.

    Attributes:
        start: Value of a row that was never stored.
    """

    remembers = True
    start = 0.0

    def __init__(self, reduction: Any = "mean") -> None:
        super().__init__(reduction)
        self._rows = torch.empty(0, 0)  # [samples or more, width]; the last row belongs to no sample
        self._samples: int | None = None
        self._capacity: int | None = None  # rows that each process contributes to a step

    def reserve(self, samples: int) -> None:
        """Sets the size of the full training set; without it, a step reads the largest position on the host."""
        self._samples = samples

    def begin_epoch(self, epoch: int) -> None:
        """Lets the processes agree anew on the largest batch, in the first step of the epoch."""
        self._capacity = None

    def get_extra_state(self) -> Tensor:
        """Returns the rows up to the last one that was stored, for the checkpoint."""
        stored = (self._rows[:-1] != self.start).any(dim=1).nonzero()
        return self._rows[: int(stored.max()) + 1 if len(stored) else 0].clone()

    def set_extra_state(self, state: Any) -> None:
        """Restores the rows from a checkpoint."""
        self._rows = torch.cat([state, state.new_full((1, state.shape[1]), self.start)])

    def _rows_of(self, index: Tensor, like: Tensor) -> Tensor:
        """Returns the rows of samples at positions `[B]`, of the width of `like` `[B, width]` and on its device.

        Raises:
            ValueError: If there is not one position for each row of `like`.
        """
        if index.shape != like.shape[:1]:
            raise ValueError(f"index: {list(index.shape)} positions for {list(like.shape[:1])} targets")
        self._make_room(index, like)
        return self._rows[index]

    def _store(self, index: Tensor, rows: Tensor) -> None:
        """Replaces the rows `[B, width]` of samples at positions `[B]`, in all processes."""
        rows, index = self._of_all_processes(rows.to(self._rows.dtype), index)
        self._make_room(index, rows)
        self._rows[index] = rows

    def _of_all_processes(self, rows: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return rows, index
        if self._capacity is None:
            # Twice the first batch, since a later one may be larger if the rest of an epoch is added to it.
            self._capacity = 2 * largest_of_all_processes(len(index), index.device)
        if len(index) > self._capacity:
            raise ValueError(
                f"{type(self).__name__}: a batch of {len(index)} samples, more than twice the first one of the epoch; "
                "with several processes it takes batches of about equal size"
            )
        return rows_of_all_processes(rows, index, self._capacity)

    def _make_room(self, index: Tensor, like: Tensor) -> None:
        """Adds rows for new samples, on the device of `like`.

        Without `reserve` at least an eighth of the rows is added at a time: else almost every step would copy them all.
        """
        samples, width = self._samples, like.shape[1]
        known = samples is not None and self.training
        if samples is None or not known:
            samples = int(index.max()) + 1 if len(index) else 0
        needed = samples + 1
        rows = self._rows.to(like.device) if self._rows.shape[1] == width else like.new_empty(0, width)
        if len(rows) < needed:
            more = (needed if known else max(needed, len(rows) * 9 // 8)) - len(rows)
            rows = torch.cat([rows, rows.new_full((more, width), self.start)])
        self._rows = rows
