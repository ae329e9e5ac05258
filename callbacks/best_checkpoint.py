from pathlib import Path
from typing import Literal

from lightning.pytorch import LightningModule, Trainer

from callbacks.monitor import require_metric
from callbacks.movable_checkpoint import MovableCheckpoint


class BestCheckpoint(MovableCheckpoint):
    """Keeps `checkpoints/best.ckpt`, chosen by a validation metric; the newest one where nothing chooses.

    Args:
        monitor: Name of the metric that chooses. `None`, and nothing does: where validation samples are few, and the
            learning rate ends at 0, the last epoch is the better choice.
        mode: Whether the smallest (`min`) or the largest (`max`) is best.
    """

    def __init__(self, monitor: str | None = "val/loss", mode: Literal["min", "max"] = "min") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            auto_insert_metric_name=False,  # names of metrics have slashes
            enable_version_counter=False,
            # By then the training metrics of the epoch are known too, and a resumed run starts with a new epoch.
            save_on_train_epoch_end=True,
        )
        self._asked, self._validated = monitor, False

    @property
    def state_key(self) -> str:
        """A constant: Lightning's own depends on the monitor, which a run without validation does without."""
        return "BestCheckpoint"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Monitors nothing where nothing is validated."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            validates = getattr(trainer.datamodule, "validates", True)  # type: ignore[attr-defined]
            unmonitored = str(self._asked).startswith("val/") and not (validates and trainer.enable_validation)
            self.monitor = None if unmonitored else self._asked

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Waits for a validation; not every epoch need have one, and metrics of an earlier one are still there."""
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes it."""
        super().on_validation_end(trainer, pl_module)
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Chooses, if there is something new to choose by."""
        if self._validated or not str(self.monitor).startswith("val/"):
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes do with the last weights where training has ended before any validation."""
        super().on_train_end(trainer, pl_module)
        fast_dev_run = trainer.fast_dev_run  # type: ignore[attr-defined]
        if not self.best_model_path and trainer.global_step and not fast_dev_run:
            self.best_model_path = str(Path(str(self.dirpath)) / "best.ckpt")
            trainer.save_checkpoint(self.best_model_path)

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses a metric that is not there before any training."""
        require_metric(trainer, "checkpoint", self.monitor)
