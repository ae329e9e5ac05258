from typing import Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.monitor import require_metric


class BestCheckpoint(ModelCheckpoint):
    """Keeps `checkpoints/best.ckpt`, by a validation metric, and `checkpoints/last.ckpt`.

    Where there is no validation set, `best` is the last epoch's too.

    Args:
        monitor: Name of the metric that chooses.
        mode: Whether the smallest (`min`) or the largest (`max`) is best.
    """

    def __init__(self, monitor: str = "val/loss", mode: Literal["min", "max"] = "min") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            auto_insert_metric_name=False,  # names of metrics have slashes
            enable_version_counter=False,
            # By then the training metrics of the epoch are known too, and a resumed run starts with a new epoch.
            save_on_train_epoch_end=True,
        )

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses a metric that is not there before any training."""
        require_metric(trainer, "checkpoint", self.monitor)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Monitors nothing where nothing is validated."""
        super().on_train_start(trainer, pl_module)
        if not sum(trainer.num_val_batches):
            self.monitor = None
