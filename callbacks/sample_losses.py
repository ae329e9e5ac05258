from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.batch import UNKNOWN

MOST_PENDING = 50
ABSENT = -2
"""Label of a sample that has not been seen, and true label where none is known; `UNKNOWN` is a label too."""

COLUMNS: dict[str, tuple[float, torch.dtype, str]] = {
    "loss": (0.0, torch.float32, "sum"),
    "count": (0.0, torch.float32, "sum"),
    "given": (ABSENT, torch.int32, "max"),
    "believed": (ABSENT, torch.int32, "max"),
    "clean": (ABSENT, torch.int32, "max"),
}
"""What is kept of each sample: the value before it is seen, its type, and how several processes agree on it."""


class SampleLosses:
    """Cross-entropy of each training sample's label over many epochs, summed up on the device.

    `add` only notes references; the losses are computed once in fifty batches. What the processes have seen in an epoch
    is put together at its end, so that all of them hold the same.

    Attributes:
        seen: Of the whole epochs so far, one entry `[N]` for each position in the training set: `loss` (the sum) and
            `count` (how often the sample was seen), float32; the label `given`, the one `believed` by the model when
            it last saw the sample, and the true one (`clean`), int32.
    """

    def __init__(self) -> None:
        self.seen = _columns(0, torch.device("cpu"))
        self._epoch = _columns(0, torch.device("cpu"))
        self._pending: list[tuple[Tensor, Tensor, Tensor]] = []
        self._pending_clean: list[tuple[Tensor, Tensor]] = []

    def to(self, device: torch.device) -> None:
        """Moves to the device that the model is on."""
        self.seen, self._epoch = (
            {name: values.to(device) for name, values in columns.items()} for columns in (self.seen, self._epoch)
        )

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
            self._epoch = _enlarged(self._epoch, int(index.max()) + 1)
            known = target != UNKNOWN
            loss = F.cross_entropy(logits.float(), target, reduction="none", ignore_index=UNKNOWN)
            self._epoch["loss"].index_add_(0, index, loss)
            self._epoch["count"].index_add_(0, index, known.float())
            self._epoch["given"][index] = target.int()
            self._epoch["believed"][index] = logits.argmax(dim=1).int()
        if self._pending_clean:
            clean, index = (torch.cat(parts) for parts in zip(*self._pending_clean, strict=True))
            self._pending_clean.clear()
            self._epoch = _enlarged(self._epoch, int(index.max()) + 1)
            self._epoch["clean"][index] = clean.int()

    def end_epoch(self, reduce: Callable[[Tensor, str], Tensor], forget: bool) -> None:
        """Adds the epoch to what has been seen; every process has to call this.

        Args:
            reduce: Puts a tensor of all processes together, by `sum` or `max`.
            forget: Whether the losses of earlier epochs no longer count.
        """
        self.update_pending()
        device = self._epoch["loss"].device
        here = max(len(self._epoch["loss"]), len(self.seen["loss"]))
        size = int(reduce(torch.tensor(here, device=device), "max"))
        seen, epoch = _enlarged(self.seen, size), _enlarged(self._epoch, size)
        for name, (_, _, how) in COLUMNS.items():
            new = reduce(epoch[name], how)
            if how == "sum":
                seen[name] = new if forget else seen[name] + new
            else:
                seen[name] = torch.where(new == ABSENT, seen[name], new)
        self.seen, self._epoch = seen, _columns(size, device)


def _columns(size: int, device: torch.device) -> dict[str, Tensor]:
    return {name: torch.full((size,), empty, dtype=kind, device=device) for name, (empty, kind, _) in COLUMNS.items()}


def _enlarged(columns: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """Makes room for samples up to a position; a callback is not told how large the training set is."""
    if (more := size - len(columns["loss"])) <= 0:
        return columns
    added = _columns(more, columns["loss"].device)
    return {name: torch.cat([values, added[name]]) for name, values in columns.items()}
