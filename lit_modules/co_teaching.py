"""Co-teaching: two networks that select each other's training samples (Han et al. 2018)."""

from collections.abc import Callable
from typing import cast

import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import Batch


class CoTeaching:
    """The objective of two networks, each trained on the samples with the smallest losses of the other.

    Args:
        forget_rate: Fraction of a batch that is finally left out, in [0, 1): the rate of wrong labels, if known.
        ramp_epochs: Epochs over which the fraction rises, at least 1.

    Raises:
        ValueError: If the rate is outside [0, 1), or `ramp_epochs` below 1.
    """

    def __init__(self, forget_rate: float, ramp_epochs: int = 5) -> None:
        if not 0 <= forget_rate < 1:
            raise ValueError(f"forget_rate: {forget_rate} is outside [0, 1); give the fraction of wrong labels")
        if ramp_epochs < 1:
            raise ValueError(f"ramp_epochs: {ramp_epochs} is below 1")
        self.forget_rate, self.ramp_epochs = forget_rate, ramp_epochs

    def loss(
        self,
        logits: tuple[Tensor, Tensor],
        batch: Batch,
        epoch: int,
        objective: Callable[[Tensor, Batch, Tensor], Tensor],
    ) -> Tensor:
        """Returns the sum of both networks' objectives.

        Args:
            logits: Those of both networks, `[B, K]`.
            batch: Batch with `target` and `index`.
            epoch: Number of the epoch, from 0.
            objective: Computes the loss from logits, batch and targets.
        """
        target, total = batch["target"], []
        forgotten = self.forget_rate * min(epoch / self.ramp_epochs, 1)
        count = max(1, round((1 - forgotten) * len(target)))
        for own, other in (logits, logits[::-1]):
            rows = smallest_losses(other, target, count)
            selected = cast(Batch, {"index": batch["index"][rows]})
            total.append(objective(own[rows], selected, target[rows]))
        return total[0] + total[1]


def smallest_losses(logits: Tensor, target: Tensor, count: int) -> Tensor:
    """Returns the positions of the samples with the smallest cross-entropies, int64 `[count]`."""
    losses = F.cross_entropy(logits.detach().float(), target, reduction="none")
    return losses.topk(count, largest=False).indices
