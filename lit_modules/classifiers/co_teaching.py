from collections.abc import Sequence
from typing import Any

from torch import Tensor

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.co_teaching import CoTeaching, ForgetRate
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
        forget_rate: Fraction of a batch that is finally left out, in [0, 1): the rate of wrong labels, if known. `auto`
            estimates it at the end of the second and each further epoch of the ramp from the predictions of both
            networks (`EstimatedNoiseRate`), and logs the fraction left out as `train/forget_rate`.
        ramp_epochs: Epochs over which the fraction rises, at least 1, or 2 for an estimate.
        widths: See `CNNClassifier`, also for the next six.
        depth: Convolutions in each stage.
        hidden: Widths of linear layers between the last stage and the head.
        batch_norm: Whether each convolution has batch norm before its ReLU.
        dropout: Dropout rate after each stage, elementwise.
        hidden_dropout: Dropout rate of each hidden linear layer.
        average_pool: Whether the last stage ends with global average pooling; otherwise it is flattened.
        **options: See `Classifier` and `LitModule`; `mix` is not supported.

    Raises:
        ValueError: If the rate is neither in [0, 1) nor `auto`, `ramp_epochs` is too small, or `mix` or a loss that
            requests the index is given.
    """

    net: Pair

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        forget_rate: ForgetRate,
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
        co_teaching = CoTeaching(forget_rate, ramp_epochs)
        net = CNN(input_shape, num_classes, widths, depth, hidden, batch_norm, dropout, hidden_dropout, average_pool)
        super().__init__(Pair(net), num_classes, **options)
        self.co_teaching, self.forget_rate, self.ramp_epochs = co_teaching, forget_rate, ramp_epochs
        prepare_pair(self)

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns the mean logits `[B, K]`, and the sum of both networks' objectives."""
        return co_taught(self, self.co_teaching, batch)


def prepare_pair(module: Classifier) -> None:
    """Checks the options of a module whose network is a `Pair`, and compiles both networks if that is requested.

    Raises:
        ValueError: If `mix` or a loss that keeps a state for each sample is given.
    """
    if module.mix is not None or module.remembers_samples:
        raise ValueError("co-teaching takes neither mix nor a loss that remembers samples: leave it out")
    net: Any = module.net
    if module.hparams.get("compile"):  # `co_taught` calls the two networks, not the pair
        net.first.compile()
        net.second.compile()


def co_taught(module: Classifier, co_teaching: CoTeaching, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns the mean logits `[B, K]` of a module's two networks, and the sum of their objectives."""
    net: Any = module.net
    x = module.prepare_input(batch["input"])
    first, second = net.first(x), net.second(x)
    loss = co_teaching.loss((first, second), batch, module.current_epoch, module.objective)
    if co_teaching.estimate is not None and module.trainer.is_last_batch:
        forgotten = co_teaching.forgotten(module.current_epoch)
        module.log("train/forget_rate", forgotten, on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
    return (first + second) / 2, loss
