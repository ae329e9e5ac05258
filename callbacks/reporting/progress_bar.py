from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from litzoo.lit_modules.metrics import EpochMeans

UPDATES_AN_EPOCH = 20


@runtime_checkable
class AveragesTraining(Protocol):
    """A module that sums up its training loss over the epoch."""

    train_means: EpochMeans


class EpochProgressBar(TQDMProgressBar):
    """Lightning's progress bar, one line an epoch, with the epoch's mean training loss.

    It is drawn some twenty times an epoch: drawing at every step would take a fifth of a small model's time.
    """

    def __init__(self) -> None:
        super().__init__(leave=True)
        self._train_loss: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Chooses how often to draw."""
        batches = trainer.num_training_batches
        self._refresh_rate = max(1, int(batches) // UPDATES_AN_EPOCH) if batches != float("inf") else UPDATES_AN_EPOCH
        super().on_train_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws, in the first process; what is averaged over processes for it is asked for by all of them.

        The first one alone would wait for the others, which are at something else by then.
        """
        _ = trainer.progress_bar_metrics
        super().on_train_epoch_end(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Returns what stands behind the bar: the epoch's mean loss so far, and the last validation's scores."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        if isinstance(pl_module, AveragesTraining) and pl_module.train_means.update_pending():
            self._train_loss = pl_module.train_means.so_far("loss")
        return items if self._train_loss is None else {"train/loss": self._train_loss, **items}
