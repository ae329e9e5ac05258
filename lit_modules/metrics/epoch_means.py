import torch
from torch import Tensor
from torchmetrics import Metric

MOST_PENDING = 100


class EpochMeans(Metric):
    """Means of a few numbers over the samples of an epoch, summed up on the device.

    Logging every step costs a small model up to 40 % of its speed. `add` only notes a reference; the sums are formed
    once in a hundred steps.

    Args:
        names: What the numbers are called.
    """

    total: Tensor
    count: Tensor

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.add_state("total", torch.zeros(len(names)), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")
        self._pending: list[tuple[list[Tensor], int]] = []  # means and size of each batch not yet summed up

    def add(self, means: list[Tensor], size: int) -> None:
        """Adds a batch: the mean of each number over it (scalars, in the order of the names), and its size."""
        self._pending.append((means, size))
        if len(self._pending) == MOST_PENDING:
            self.update_pending()

    def update(self, means: Tensor, sizes: Tensor) -> None:
        """Adds B batches at once: means `[B, number of names]` and sizes `[B]`."""
        # A module in half precision takes its metrics with it.
        self.total = self.total.float() + sizes @ means.float()
        self.count = self.count.float() + sizes.sum()

    def compute(self) -> dict[str, Tensor]:
        """Returns the mean of each number over all samples so far; call `update_pending` first."""
        return dict(zip(self.names, self.total / self.count, strict=True))

    def reset(self) -> None:
        """Forgets everything, also what has not been summed up yet."""
        super().reset()
        self._pending = []

    def update_pending(self) -> bool:
        """Sums up what has been added since the last time; says whether there is anything to average at all."""
        if self._pending:
            means = torch.stack([torch.stack(means) for means, _ in self._pending])
            sizes = torch.tensor([size for _, size in self._pending], dtype=torch.float, device=means.device)
            self._pending.clear()
            self.update(means, sizes)
        return self.update_called

    def so_far(self, name: str) -> float:
        """Returns the mean of one number over the samples that this process has seen, for a progress bar."""
        self.update_pending()
        return (self.total[self.names.index(name)] / self.count).item()
