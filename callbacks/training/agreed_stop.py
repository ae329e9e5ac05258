from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class AgreedStop(Callback):
    """Lets several processes stop together when one of them asks to, with `trainer.should_stop = True`.

    The others would wait for ever for one that left an epoch alone. What is asked for within an epoch is agreed on
    where all meet anyway, after a validation or at the epoch's end: it costs nothing in a step.
    """

    def __init__(self) -> None:
        self._asked = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leaves the steps of a single process alone."""
        self._asked = False
        if trainer.world_size == 1:
            self.on_train_batch_end = None  # type: ignore[assignment]  # Lightning passes over it

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remembers what was asked for in this step, and goes on."""
        if trainer.should_stop:
            self._asked, trainer.should_stop = True, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops all processes if one was asked to; so do the start and the end of an epoch, and a validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            asked = self._asked or trainer.should_stop
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(asked, all=False)

    on_train_epoch_start = on_validation_end = on_train_epoch_end = on_train_start
