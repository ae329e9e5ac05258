import torch
from torch import Tensor

from callbacks.sample_columns import ABSENT, Reduce, SampleColumn, SampleColumns

MOST_PENDING = 50
COLUMNS = {
    "order": SampleColumn(ABSENT, torch.int64, "max"),
    "label": SampleColumn(ABSENT, torch.int32, "max"),
    "confidence": SampleColumn(ABSENT, torch.float32, "max"),
    "used": SampleColumn(ABSENT, torch.int32, "max"),
    "clean": SampleColumn(ABSENT, torch.int32, "max"),
}


class PoolLabels(SampleColumns):
    """The newest pseudo-label of each sample of an unlabeled pool, with what was made of it.

    `add` only notes references, and the columns are filled once in fifty batches. Of a sample that comes twice in an
    epoch the later one counts, in whichever process it is; if both are as late, the larger label.

    Attributes:
        seen: Of the whole epochs so far, one entry `[N]` for each position in the training set: `order` (its place
            among all that this process saw of that epoch), int64; `label`, whether it was `used` (0 or 1) and the true
            label (`clean`), int32; `confidence`, float32.
    """

    def __init__(self) -> None:
        super().__init__(COLUMNS)
        self._served = 0  # samples in this epoch
        self._pending: list[tuple[Tensor, ...]] = []

    def add(
        self, label: Tensor, confidence: Tensor, used: Tensor, index: Tensor, clean_target: Tensor | None = None
    ) -> None:
        """Adds a batch, `[U]` each: labels, confidences, whether used, positions and, where known, true labels."""
        clean = torch.full_like(label, ABSENT) if clean_target is None else clean_target
        self._pending.append((index, label, confidence, used, clean))
        if len(self._pending) == MOST_PENDING:
            self.update_pending()

    def update_pending(self) -> None:
        """Fills in what has been added since the last time."""
        if not self._pending:
            return
        index, label, confidence, used, clean = (torch.cat(parts) for parts in zip(*self._pending, strict=True))
        self._pending.clear()
        self.make_room(index)
        order = torch.arange(self._served, self._served + len(index), device=index.device)
        self._served += len(index)
        self.epoch["order"].scatter_reduce_(0, index, order, "amax")
        last = self.epoch["order"][index] == order
        for name, values in {"label": label, "confidence": confidence, "used": used, "clean": clean}.items():
            self.epoch[name][index[last]] = values[last].to(self.epoch[name].dtype)

    def agree(self, epoch: dict[str, Tensor], reduce: Reduce) -> dict[str, Tensor]:
        """Takes all columns of a sample from one process, the one that saw it last."""
        self._served = 0
        agreed, still = {}, torch.ones_like(epoch["order"], dtype=torch.bool)
        for name, (empty, _, how) in self.columns.items():
            agreed[name] = reduce(torch.where(still, epoch[name], empty), how)
            still &= epoch[name] == agreed[name]
        return agreed
