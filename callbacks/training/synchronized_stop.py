from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class SynchronizedStop(Callback):
    """Stops all processes together when one of them sets `trainer.should_stop = True`.

    If one process left an epoch alone, the others would wait for it forever. A stop that is requested during an epoch
    is therefore synchronized after the next validation or at the end of the epoch, where all processes meet anyway: it
    adds no communication to a training step.
    """

    def __init__(self) -> None:
        self._requested = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state; with a single process nothing is done in training steps."""
        self._requested = False
        if trainer.world_size == 1:
            self.on_train_batch_end = None  # type: ignore[assignment]  # Lightning skips hooks that are not callable

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Records a requested stop, and lets this process continue until all are synchronized."""
        if trainer.should_stop:
            self._requested, trainer.should_stop = True, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops all processes if any has requested it; also at the start and end of epochs, and after validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            requested = self._requested or trainer.should_stop
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(requested, all=False)

    on_train_epoch_start = on_validation_end = on_train_epoch_end = on_train_start
