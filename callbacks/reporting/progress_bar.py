from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from litzoo.lit_modules.metrics import EpochMeans

UPDATES_PER_EPOCH = 20


class EpochProgressBar(TQDMProgressBar):
    """Lightning's progress bar with one line per epoch, which shows the epoch's mean training loss.

    It is updated about twenty times per epoch: updating at every step would take a fifth of a small model's time.
    """

    def __init__(self) -> None:
        super().__init__(leave=True)
        self._train_loss: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sets the refresh rate from the number of batches."""
        batches = trainer.num_training_batches
        self._refresh_rate = max(1, int(batches) // UPDATES_PER_EPOCH) if batches != float("inf") else UPDATES_PER_EPOCH
        super().on_train_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reduces the metrics on all processes before rank 0 displays them.

        Otherwise only rank 0 would start the reduction, and wait for processes that have moved on.
        """
        _ = trainer.progress_bar_metrics
        super().on_train_epoch_end(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Returns what is displayed: the mean training loss of the epoch so far, and the last validation metrics."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        means = getattr(pl_module, "train_means", None)
        if isinstance(means, EpochMeans) and means.update_pending():
            self._train_loss = means.so_far("loss")
        return items if self._train_loss is None else {"train/loss": self._train_loss, **items}
