import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor

from litzoo.callbacks.checkpoints.best_and_last import require_metric, starts_new_training


class BestWeightsEarlyStopping(EarlyStopping):
    """Stops when a validation metric no longer improves, and restores the best weights.

    When training ends for another reason, such as `max_epochs`, the best weights are restored too.

    Args:
        monitor: Name of the metric.
        mode: Whether smaller (`min`) or larger (`max`) is better.
        patience: Validations without improvement before training stops.
        min_delta: Smallest change that counts as an improvement.
        verbose: Whether to print each improvement.

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
                raise ValueError(f"BestWeightsEarlyStopping.{name}: {value} is negative; give 0 or more")
        super().__init__(monitor, min_delta, patience, verbose=verbose, mode=mode, check_on_train_epoch_end=False)
        self.best_weights: dict[str, Tensor] | None = None
        self._current_is_best = False
        self._loaded_weights: dict[str, Tensor] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state of an earlier training; that of a checkpoint is restored later."""
        super().setup(trainer, pl_module, stage)
        if starts_new_training(trainer, stage):
            self.best_score = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
            self.best_weights, self._current_is_best, self._loaded_weights = None, False, None
            self.wait_count = self.stopped_epoch = 0

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks before training that the monitored metric is logged."""
        require_metric(trainer, "BestWeightsEarlyStopping", self.monitor)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Records that the module's weights are no longer those of the last validation."""
        self._current_is_best = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Runs Lightning's early stopping, and copies the weights if they are the best so far."""
        previous = self.best_score
        super().on_validation_end(trainer, pl_module)
        if not torch.equal(self.best_score.cpu(), previous.cpu()):
            self.best_weights = _copy_to_cpu(pl_module.state_dict())
            self._current_is_best = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the best weights."""
        if self.best_weights is not None:
            pl_module.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """Adds the best weights, unless they are the checkpoint's own `state_dict`."""
        return {**super().state_dict(), "best_weights": None if self._current_is_best else self.best_weights}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keeps the checkpoint's weights: they are the best ones if `state_dict` holds none."""
        self._loaded_weights = checkpoint["state_dict"]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the progress, but not `patience`, which is taken from the current configuration."""
        patience = self.patience
        super().load_state_dict(state_dict)
        if patience > self.patience:
            self.stopped_epoch = 0  # with more patience, a stopped training continues
        self.patience = patience
        if torch.isfinite(torch.as_tensor(self.best_score)):
            self.best_weights = state_dict["best_weights"] or self._loaded_weights


def _copy_to_cpu(state: Mapping[str, Any]) -> dict[str, Any]:
    """Copies tensors to the CPU; other values (extra state) are deep-copied."""
    return {
        name: value.detach().cpu().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }
