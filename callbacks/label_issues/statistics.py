"""Sums over the epochs of each training sample's predicted probabilities, loss and margin."""

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.callbacks.samples import ABSENT, SampleColumn, SampleColumns
from litzoo.datamodules.batch import UNKNOWN

_MAX_PENDING = 50


class SampleStatistics(SampleColumns):
    """Predicted probabilities, cross-entropy and logit margin of each training sample, summed over the epochs.

    `add` only queues a batch; the statistics are computed once every 50 batches, on the device. They take
    4 · N · (K + 6) bytes for N samples of K classes: 3 MB for 50,000 samples of 10 classes.

    Args:
        num_classes: K.

    Attributes:
        seen: Columns of all complete epochs, one entry for each position in the training set: the sums `probabilities`
            `[N, K]`, `loss` and `margin` `[N]`, and `count` (how often the sample was seen), float32; the label
            `given`, the class `predicted` when the sample was last seen, and the true label (`clean`), int32. The
            margin is the logit of the given label minus the largest of the others.
    """

    def __init__(self, num_classes: int) -> None:
        sums = {name: SampleColumn(0.0, torch.float32, "sum") for name in ("loss", "margin", "count")}
        labels = {name: SampleColumn(ABSENT, torch.int32, "max") for name in ("given", "predicted", "clean")}
        super().__init__({"probabilities": SampleColumn(0.0, torch.float32, "sum", num_classes), **sums, **labels})
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
        """Computes the statistics of the queued batches; samples with the target `UNKNOWN` are not counted."""
        if self._pending:
            logits, target, index = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
            self._pending.clear()
            self.grow_to_hold(index)
            logits, known = logits.float(), (target != UNKNOWN).float()
            label = target.clamp(min=0)[:, None]
            others = logits.scatter(1, label, -torch.inf).amax(dim=1)
            sums = {
                "probabilities": logits.softmax(dim=1) * known[:, None],
                "loss": F.cross_entropy(logits, target, reduction="none", ignore_index=UNKNOWN),
                "margin": (logits.gather(1, label)[:, 0] - others) * known,
                "count": known,
            }
            for name, values in sums.items():
                self.epoch[name].index_add_(0, index, values)
            self.epoch["given"][index] = target.int()
            self.epoch["predicted"][index] = logits.argmax(dim=1).int()
        if self._pending_clean:
            clean, index = (torch.cat(parts) for parts in zip(*self._pending_clean, strict=True))
            self._pending_clean.clear()
            self.grow_to_hold(index)
            self.epoch["clean"][index] = clean.int()
