import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class EpochClock(Callback):
    """Times the last epoch from its start to the end of its last training batch: no validation, no checkpoint."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stops the clock; the last batch of the epoch has the last word."""
        self.seconds = time.perf_counter() - self._start
