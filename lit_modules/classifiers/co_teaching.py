from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.classifiers.standard import CNNClassifier
from litzoo.lit_modules.networks import Pair


class CoTeachingClassifier(CNNClassifier):
    """Two CNNs, each taught by the samples that the other one finds easy (Han et al. 2018, Co-teaching).

    Wrong labels have large losses at first. Each network picks the fraction 1 − R(t) of a batch with its smallest
    cross-entropies and hands it to the other one to learn from; R(t) rises from 0 to `forget_rate` over the first
    epochs, before wrong labels are memorised. What is plugged in as `loss` is what is learned from the samples picked.
    Evaluation uses the mean logits of both, where the paper tests each by itself: part of the gain is that of two
    networks, which `forget_rate: 0` shows alone.

    Args:
        forget_rate: Fraction of a batch that is left out in the end, in [0, 1): the fraction of wrong labels, if it is known.
        ramp_epochs: Epochs over which the fraction rises, at least 1.
        **options: See `CNNClassifier`, `Classifier` and `LitModule`; `mix` is not used.

    Raises:
        ValueError: If the rate is outside [0, 1), `ramp_epochs` below 1, or `mix` or a loss that asks for the index is
            given.
    """

    def __init__(self, forget_rate: float, ramp_epochs: int = 5, **options: Any) -> None:
        super().__init__(**options)
        if not 0 <= forget_rate < 1:
            raise ValueError(f"forget_rate: {forget_rate} is outside [0, 1); give the fraction of wrong labels")
        if ramp_epochs < 1:
            raise ValueError(f"ramp_epochs: {ramp_epochs} is below 1")
        if self.mix is not None or self.remembers_samples:
            raise ValueError("CoTeachingClassifier takes neither mix nor a loss that remembers samples: leave it out")
        self.net: Pair = Pair(self.net)
        if self.hparams.get("compile"):
            self.net.second.compile()
        self.forget_rate, self.ramp_epochs = forget_rate, ramp_epochs

    def trained(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the mean logits `[B, K]`, and the sum of both networks' objectives."""
        x, target = self.prepared(batch["input"]), batch["target"]
        first, second = self.net.first(x), self.net.second(x)
        forgotten = self.forget_rate * min(self.current_epoch / self.ramp_epochs, 1)
        kept = max(1, round((1 - forgotten) * len(x)))
        loss = self.taught(first, batch, easiest(second, target, kept))
        loss = loss + self.taught(second, batch, easiest(first, target, kept))
        return (first + second) / 2, loss

    def taught(self, logits: Tensor, batch: Batch, rows: Tensor) -> Tensor:
        """Returns the objective of one network's logits `[B, K]` on some of the samples."""
        picked = cast(Batch, {"index": batch["index"][rows]})  # what an objective may look at
        return self.objective(logits[rows], picked, batch["target"][rows])


def easiest(logits: Tensor, target: Tensor, count: int) -> Tensor:
    """Returns the positions of the samples with the smallest cross-entropies, int64 `[count]`."""
    losses = F.cross_entropy(logits.detach().float(), target, reduction="none")
    return losses.topk(count, largest=False).indices
