import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.callbacks.samples import ABSENT, SampleColumn, SampleColumns
from litzoo.datamodules.batch import UNKNOWN

MOST_PENDING = 50
COLUMNS = {
    "loss": SampleColumn(0.0, torch.float32, "sum"),
    "count": SampleColumn(0.0, torch.float32, "sum"),
    "given": SampleColumn(ABSENT, torch.int32, "max"),
    "believed": SampleColumn(ABSENT, torch.int32, "max"),
    "clean": SampleColumn(ABSENT, torch.int32, "max"),
}


class SampleLosses(SampleColumns):
    """Cross-entropy of each training sample's label over many epochs, summed up on the device.

    `add` only notes references; the losses are computed once in fifty batches.

    Attributes:
        seen: Of the whole epochs so far, one entry `[N]` for each position in the training set: `loss` (the sum) and
            `count` (how often the sample was seen), float32; the label `given`, the one `believed` by the model when
            it last saw the sample, and the true one (`clean`), int32.
    """

    def __init__(self) -> None:
        super().__init__(COLUMNS)
        self._pending: list[tuple[Tensor, Tensor, Tensor]] = []
        self._pending_clean: list[tuple[Tensor, Tensor]] = []

    def add(self, logits: Tensor, target: Tensor, index: Tensor) -> None:
        """Adds a batch: logits `[B, K]`, given labels and positions in the training set, int64 `[B]`."""
        self._pending.append((logits, target, index))
        if len(self._pending) == MOST_PENDING:
            self.update_pending()

    def add_clean(self, clean_target: Tensor, index: Tensor) -> None:
        """Adds the true labels of a batch and their positions, int64 `[B]`."""
        self._pending_clean.append((clean_target, index))

    def update_pending(self) -> None:
        """Computes the losses of what has been added since the last time."""
        if self._pending:
            logits, target, index = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
            self._pending.clear()
            self.make_room(index)
            known = target != UNKNOWN
            loss = F.cross_entropy(logits.float(), target, reduction="none", ignore_index=UNKNOWN)
            self.epoch["loss"].index_add_(0, index, loss)
            self.epoch["count"].index_add_(0, index, known.float())
            self.epoch["given"][index] = target.int()
            self.epoch["believed"][index] = logits.argmax(dim=1).int()
        if self._pending_clean:
            clean, index = (torch.cat(parts) for parts in zip(*self._pending_clean, strict=True))
            self._pending_clean.clear()
            self.make_room(index)
            self.epoch["clean"][index] = clean.int()
