from collections.abc import Sequence
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.networks import CNN, Pair


class CoTeachingClassifier(Classifier):
    """Two CNNs, each trained on the samples with the smallest losses of the other (Han et al. 2018, Co-teaching).

    Wrong labels have large losses early in training. Each network selects the fraction 1 − R(t) of a batch with the
    smallest cross-entropies, and the other network learns from these; R(t) rises from 0 to `forget_rate` over the
    first epochs, before wrong labels are memorised. `loss` is the objective for the selected samples. Evaluation
    averages the logits of both networks, where the paper tests each separately: part of the gain is that of an
    ensemble of two, which `forget_rate: 0` measures alone.

    Args:
        input_shape: `(C, H, W)` of an image.
        num_classes: Number of classes.
        forget_rate: Fraction of a batch that is finally left out, in [0, 1): the rate of wrong labels, if known.
        ramp_epochs: Epochs over which the fraction rises, at least 1.
        widths: See `CNNClassifier`, also for the next six.
        depth: Convolutions in each stage.
        hidden: Widths of linear layers between the last stage and the head.
        batch_norm: Whether each convolution has batch norm before its ReLU.
        dropout: Dropout rate after each stage, elementwise.
        hidden_dropout: Dropout rate of each hidden linear layer.
        average_pool: Whether the last stage ends with global average pooling; otherwise it is flattened.
        **options: See `Classifier` and `LitModule`; `mix` is not supported.

    Raises:
        ValueError: If the rate is outside [0, 1), `ramp_epochs` below 1, or `mix` or a loss that requests the index is
            given.
    """

    net: Pair

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        forget_rate: float,
        ramp_epochs: int = 5,
        widths: Sequence[int] = (32, 64),
        depth: int = 1,
        hidden: Sequence[int] = (),
        batch_norm: bool = True,
        dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        average_pool: bool = False,
        **options: Any,
    ) -> None:
        if not 0 <= forget_rate < 1:
            raise ValueError(f"forget_rate: {forget_rate} is outside [0, 1); give the fraction of wrong labels")
        if ramp_epochs < 1:
            raise ValueError(f"ramp_epochs: {ramp_epochs} is below 1")
        net = CNN(input_shape, num_classes, widths, depth, hidden, batch_norm, dropout, hidden_dropout, average_pool)
        super().__init__(Pair(net), num_classes, **options)
        if self.mix is not None or self.remembers_samples:
            raise ValueError("CoTeachingClassifier takes neither mix nor a loss that remembers samples: leave it out")
        if self.hparams.get("compile"):  # `training_loss` calls the two networks, not the pair
            self.net.first.compile()
            self.net.second.compile()
        self.forget_rate, self.ramp_epochs = forget_rate, ramp_epochs

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the mean logits `[B, K]`, and the sum of both networks' objectives."""
        x, target = self.prepare_input(batch["input"]), batch["target"]
        first, second = self.net.first(x), self.net.second(x)
        forgotten = self.forget_rate * min(self.current_epoch / self.ramp_epochs, 1)
        count = max(1, round((1 - forgotten) * len(x)))
        loss = self._objective_of(first, batch, smallest_losses(second, target, count))
        loss = loss + self._objective_of(second, batch, smallest_losses(first, target, count))
        return (first + second) / 2, loss

    def _objective_of(self, logits: Tensor, batch: Batch, rows: Tensor) -> Tensor:
        """Returns the objective of one network's logits `[B, K]` on the selected rows of the batch."""
        selected = cast(Batch, {"index": batch["index"][rows]})
        return self.objective(logits[rows], selected, batch["target"][rows])


def smallest_losses(logits: Tensor, target: Tensor, count: int) -> Tensor:
    """Returns the positions of the samples with the smallest cross-entropies, int64 `[count]`."""
    losses = F.cross_entropy(logits.detach().float(), target, reduction="none")
    return losses.topk(count, largest=False).indices
