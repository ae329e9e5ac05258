"""The rate of wrong labels, estimated during the first epochs of a training."""

from typing import Any

import torch
from torch import Tensor, nn

from litzoo.lit_modules.distributed import from_all_processes
from litzoo.lit_modules.label_judgement import judge_labels

FIRST = 1
"""First epoch whose predictions count; those before it are of a network that has hardly learned anything."""


class EstimatedNoiseRate(nn.Module):
    """The fraction of training labels that contradict the predictions, estimated after each of the first epochs.

    The probabilities that are predicted for a sample in training are averaged over the epochs from the second on. A
    label is counted if it is more probably wrong than right (`judge_labels`). Too early the estimate is too high where
    classes are hard to tell apart: each epoch corrects it. It takes 4 · N · K bytes for N samples of K classes.

    Args:
        epochs: The epochs after which the estimate is final, at least 2.

    Attributes:
        rate: The estimate; 0 before the end of the second epoch.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs, self.rate = epochs, 0.0
        self._sums: Tensor | None = None  # of predicted probabilities, [N, K]
        self._given = self._counts = torch.empty(0, dtype=torch.int64)  # labels and number of predictions, [N]
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, probabilities: Tensor, target: Tensor, index: Tensor, epoch: int) -> None:
        """Adds a batch: predicted probabilities `[B, K]`, labels and positions in the training set `[B]`."""
        if FIRST <= epoch < self.epochs:
            self._batches.append((probabilities.detach().float(), target, index))

    def begin_epoch(self, epoch: int) -> None:
        """Forgets an epoch that was interrupted, and before the first epoch another training."""
        self._batches = []
        if epoch == 0:
            self.rate, self._sums = 0.0, None

    def end_epoch(self, epoch: int) -> None:
        """Estimates the rate from the predictions of all processes."""
        if not self._batches:
            return
        probabilities, target, index = (
            torch.cat(from_all_processes(torch.cat(each))).cpu() for each in zip(*self._batches, strict=True)
        )
        self._batches = []
        self._hold(int(index.max()) + 1, probabilities.shape[1])
        assert self._sums is not None
        self._sums.index_add_(0, index, probabilities)
        self._counts.index_add_(0, index, torch.ones_like(index))
        self._given[index] = target
        seen = torch.nonzero(self._counts)[:, 0]
        judgement = judge_labels(self._sums[seen] / self._counts[seen][:, None], self._given[seen])
        self.rate = (judgement.wrong > 0.5).double().mean().item()
        if epoch == self.epochs - 1:
            self._sums = None  # not needed any more, so that checkpoints stay small

    def _hold(self, size: int, classes: int) -> None:
        """Makes room for samples at the positions below `size`."""
        if self._sums is None:
            self._sums = torch.zeros(0, classes)
            self._given = self._counts = torch.empty(0, dtype=torch.int64)
        if (more := size - len(self._sums)) > 0:
            self._sums = torch.cat([self._sums, torch.zeros(more, classes)])
            self._given, self._counts = (
                torch.cat([each, torch.zeros(more, dtype=torch.int64)]) for each in (self._given, self._counts)
            )

    def get_extra_state(self) -> dict[str, Any]:
        """Returns the estimate and the predictions for the next one, for checkpoints."""
        state: dict[str, Any] = {"rate": self.rate}
        if self._sums is not None:
            state |= {"sums": self._sums, "given": self._given, "counts": self._counts}
        if self._batches:
            names = ("probabilities", "target", "index")
            state |= dict(zip(names, map(torch.cat, zip(*self._batches, strict=True)), strict=True))
        return state

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.rate, self._sums = state["rate"], state.get("sums")
        if self._sums is not None:
            self._given, self._counts = state["given"], state["counts"]
        self._batches = [(state["probabilities"], state["target"], state["index"])] if "index" in state else []
