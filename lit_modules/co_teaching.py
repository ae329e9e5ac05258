"""Co-teaching: two networks that select each other's training samples (Han et al. 2018)."""

from collections.abc import Callable
from typing import Literal, cast

import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.noise_rate import EstimatedNoiseRate

ForgetRate = float | Literal["auto"]


class CoTeaching(nn.Module):
    """The objective of two networks, each trained on the samples with the smallest losses of the other.

    Args:
        forget_rate: Fraction of a batch that is finally left out, in [0, 1): the rate of wrong labels, if known;
            `auto` estimates it while the fraction rises (`EstimatedNoiseRate`).
        ramp_epochs: Epochs over which the fraction rises, at least 1, or 2 for an estimate.

    Raises:
        ValueError: If the rate is neither in [0, 1) nor `auto`, or `ramp_epochs` is too small.
    """

    def __init__(self, forget_rate: ForgetRate, ramp_epochs: int = 5) -> None:
        super().__init__()
        if forget_rate != "auto" and (isinstance(forget_rate, str) or not 0 <= forget_rate < 1):
            raise ValueError(
                f"forget_rate: {forget_rate} is outside [0, 1); give the fraction of wrong labels, or auto to estimate "
                "it"
            )
        if ramp_epochs < (least := 2 if forget_rate == "auto" else 1):
            why = "; forget_rate auto estimates the rate from the second epoch on" if least == 2 else ""
            raise ValueError(f"ramp_epochs: {ramp_epochs} is below {least}{why}")
        self.fixed_rate = None if forget_rate == "auto" else float(forget_rate)
        self.ramp_epochs = ramp_epochs
        self.estimate = EstimatedNoiseRate(ramp_epochs) if self.fixed_rate is None else None

    def forgotten(self, epoch: int) -> float:
        """Returns the fraction of a batch that is left out in an epoch, counted from 0."""
        rate = self.fixed_rate if self.estimate is None else self.estimate.rate
        assert rate is not None
        return rate * min(epoch / self.ramp_epochs, 1)

    def begin_epoch(self, epoch: int) -> None:
        """Begins another epoch of the estimate."""
        if self.estimate is not None:
            self.estimate.begin_epoch(epoch)

    def end_epoch(self, epoch: int) -> None:
        """Improves the estimate, and reports it when it is final."""
        if self.estimate is not None:
            self.estimate.end_epoch(epoch)
            if epoch == self.ramp_epochs - 1:
                rank_zero_info(f"forget_rate auto: {self.estimate.rate:.1%} of the labels are estimated to be wrong")

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
        if self.estimate is not None:
            probabilities = (logits[0].detach().float().softmax(dim=1) + logits[1].detach().float().softmax(dim=1)) / 2
            self.estimate.add(probabilities, target, batch["index"], epoch)
        count = max(1, round((1 - self.forgotten(epoch)) * len(target)))
        for own, other in (logits, logits[::-1]):
            rows = smallest_losses(other, target, count)
            selected = cast(Batch, {"index": batch["index"][rows]})
            total.append(objective(own[rows], selected, target[rows]))
        return total[0] + total[1]


def smallest_losses(logits: Tensor, target: Tensor, count: int) -> Tensor:
    """Returns the positions of the samples with the smallest cross-entropies, int64 `[count]`."""
    losses = F.cross_entropy(logits.detach().float(), target, reduction="none")
    return losses.topk(count, largest=False).indices
