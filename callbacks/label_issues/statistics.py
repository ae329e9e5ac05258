"""Loss of each training sample's label, summed over the epochs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.callbacks.samples import ABSENT, SampleColumn, SampleColumns
from litzoo.datamodules.batch import UNKNOWN

_MAX_PENDING = 50
_COLUMNS = {
    "loss": SampleColumn(0.0, torch.float32, "sum"),
    "count": SampleColumn(0.0, torch.float32, "sum"),
    "given": SampleColumn(ABSENT, torch.int32, "max"),
    "predicted": SampleColumn(ABSENT, torch.int32, "max"),
    "clean": SampleColumn(ABSENT, torch.int32, "max"),
}


class SampleLosses(SampleColumns):
    """Cross-entropy of each training sample's label, summed over epochs on the device.

    `add` only queues a batch; losses are computed once every 50 batches.

    Attributes:
        seen: Columns `[N]` of all complete epochs, one entry for each position in the training set: `loss` (the sum)
            and `count` (how often the sample was seen), float32; the label `given`, the label `predicted` when the
            sample was last seen, and the true label (`clean`), int32.
    """

    def __init__(self) -> None:
        super().__init__(_COLUMNS)
        self._pending: list[tuple[Tensor, Tensor, Tensor]] = []
        self._pending_clean: list[tuple[Tensor, Tensor]] = []

    def add(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        """Adds a batch: logits `[B, K]`, given labels and positions in the training set, int64 `[B]`."""
        self._pending.append((logits, target, index))
        if len(self._pending) == _MAX_PENDING:
            self.update_pending()

    def add_clean(self, clean_target: Tensor, index: Tensor) -> None:
        """Adds the true labels of a batch and their positions, int64 `[B]`."""
        self._pending_clean.append((clean_target, index))

    def update_pending(self) -> None:
        """Computes the losses of the queued batches."""
        if self._pending:
            logits, target, index = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
            self._pending.clear()
            self.grow_to_hold(index)
            known = target != UNKNOWN
            loss = F.cross_entropy(logits.float(), target, reduction="none", ignore_index=UNKNOWN)
            self.epoch["loss"].index_add_(0, index, loss)
            self.epoch["count"].index_add_(0, index, known.float())
            self.epoch["given"][index] = target.int()
            self.epoch["predicted"][index] = logits.argmax(dim=1).int()
        if self._pending_clean:
            clean, index = (torch.cat(parts) for parts in zip(*self._pending_clean, strict=True))
            self._pending_clean.clear()
            self.grow_to_hold(index)
            self.epoch["clean"][index] = clean.int()
