import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor

from litzoo.callbacks.checkpoints.best_and_last import begins_anew, require_metric


class BestWeightsEarlyStopping(EarlyStopping):
    """Stops when a validation metric no longer improves, and puts the best weights back into the module.

    Also when training ends because its epochs are over, the module then holds the weights that validated best.

    Args:
        monitor: Name of the metric.
        mode: Whether smaller (`min`) or larger (`max`) is better.
        patience: Validations without improvement before training stops.
        min_delta: The least change that counts as an improvement.
        verbose: Whether each improvement is printed.

    Raises:
        ValueError: If `patience` or `min_delta` is negative.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        patience: int = 5,
        min_delta: float = 0.0,
        verbose: bool = False,
    ) -> None:
        for name, value in {"patience": patience, "min_delta": min_delta}.items():
            if value < 0:
                raise ValueError(f"BestWeightsEarlyStopping.{name}: {value} is negative")
        super().__init__(monitor, min_delta, patience, verbose=verbose, mode=mode, check_on_train_epoch_end=False)
        self.best_weights: dict[str, Tensor] | None = None
        self._best_is_now = False
        self._loaded_weights: dict[str, Tensor] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Knows nothing of an earlier training; what a checkpoint knows is restored later."""
        super().setup(trainer, pl_module, stage)
        if begins_anew(trainer, stage):
            self.best_score = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
            self.best_weights, self._best_is_now, self._loaded_weights = None, False, None
            self.wait_count = self.stopped_epoch = 0

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses a metric that is not there before any training."""
        require_metric(trainer, "BestWeightsEarlyStopping", self.monitor)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Notes that from here on the module's weights are no longer those just validated."""
        self._best_is_now = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decides as Lightning's early stopping does, and keeps a copy of the weights if they are the best."""
        before = self.best_score
        super().on_validation_end(trainer, pl_module)
        if not torch.equal(self.best_score.cpu(), before.cpu()):
            self.best_weights = _copied(pl_module.state_dict())
            self._best_is_now = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the best weights back."""
        if self.best_weights is not None:
            pl_module.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """Adds the best weights, unless they are the very ones that the checkpoint holds anyway."""
        return {**super().state_dict(), "best_weights": None if self._best_is_now else self.best_weights}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers the checkpoint's weights, which are the best ones if it holds no others."""
        self._loaded_weights = checkpoint["state_dict"]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the progress, but not `patience`: what the configuration says now is what counts."""
        patience = self.patience
        super().load_state_dict(state_dict)
        if patience > self.patience:
            self.stopped_epoch = 0  # a training that was stopped goes on
        self.patience = patience
        if torch.isfinite(torch.as_tensor(self.best_score)):
            self.best_weights = state_dict["best_weights"] or self._loaded_weights


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Copies weights to the CPU, and whatever else a module keeps."""
    return {
        name: value.detach().cpu().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }
