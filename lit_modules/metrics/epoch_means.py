from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

MAX_PENDING = 100
"""Batches after which pending values are summed."""


class EpochMeans(Metric):
    """Means of several values over the samples of an epoch, accumulated on the device.

    Logging at every step costs a small model up to 40 % of its speed. `add` only stores references; they are summed
    once per hundred steps.

    Args:
        names: Names of the values.
    """

    total: Tensor
    count: Tensor

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.add_state("total", torch.zeros(len(names)), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")
        self._pending: list[tuple[list[Tensor], int]] = []  # means and size of each batch not yet summed

    def add(self, means: list[Tensor], size: int) -> None:
        """Adds a batch: the mean of each value over it (scalars, in the order of the names), and the batch size."""
        self._pending.append((means, size))
        if len(self._pending) == MAX_PENDING:
            self.update_pending()

    def update(self, means: Tensor, sizes: Tensor) -> None:
        """Adds B batches at once: means `[B, number of names]` and sizes `[B]`."""
        # Half-precision training converts the states.
        self.total = self.total.float() + sizes @ means.float()
        self.count = self.count.float() + sizes.sum()

    def compute(self) -> dict[str, Tensor]:
        """Returns the mean of each value over all samples so far; call `update_pending` first."""
        return dict(zip(self.names, self.total / self.count, strict=True))

    def reset(self) -> None:
        """Resets the sums and drops pending values."""
        super().reset()
        self._pending = []

    def update_pending(self) -> bool:
        """Sums the pending values; returns whether there is anything to average."""
        if self._pending:
            means = torch.stack([torch.stack(means) for means, _ in self._pending])
            sizes = torch.tensor([size for _, size in self._pending], dtype=torch.float, device=means.device)
            self._pending.clear()
            self.update(means, sizes)
        return self.update_called

    def state_so_far(self) -> dict[str, Any]:
        """Returns sums and pending values on the CPU; summing them early would change the last bits of the means."""
        pending = [([mean.cpu() for mean in means], size) for means, size in self._pending]
        sums = {"total": self.total.cpu(), "count": self.count.cpu()}
        return {**sums, "pending": pending, "updates": self._update_count}

    def load_state_so_far(self, state: dict[str, Any]) -> None:
        """Restores what `state_so_far` returned, on the device of this metric."""
        self.total, self.count = state["total"].to(self.device), state["count"].to(self.device)
        self._pending = [([mean.to(self.device) for mean in means], size) for means, size in state["pending"]]
        self._update_count = state["updates"]

    def so_far(self, name: str) -> float:
        """Returns the mean of one value over the samples of this process so far, for a progress bar."""
        self.update_pending()
        return (self.total[self.names.index(name)] / self.count).item()
