from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.beginning import begins_anew


class EpochHistory(Callback):
    """Remembers the training and validation metrics of every epoch; base of callbacks that report on them.

    Attributes:
        history: One entry an epoch: `epoch` (from 0) and the value of each `train/...` and `val/...` metric.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._validated = False
        self._old: dict[str, Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begins anew, unless the trainer goes on; what a checkpoint knows is restored later."""
        if begins_anew(trainer, stage):
            self.history = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that nothing of this epoch is known yet: Lightning would show the values of an earlier one."""
        self._validated = False
        self._old = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that it has."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the epoch."""
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if value is not self._old.get(name)
            and (name.startswith("train/") or (name.startswith("val/") and self._validated))
        }
        # The learning rate is noted every so many steps: at the end of an epoch it would be an old one.
        current = {name: value for name, value in metrics.items() if not name.startswith("train/lr")}
        self.history.append({"epoch": trainer.current_epoch, **current})

    def state_dict(self) -> dict[str, Any]:
        """Returns the history, so that a resumed run reports on all epochs."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the history."""
        self.history = list(state_dict["history"])
