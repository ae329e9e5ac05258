import math
from typing import NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

STEPS_BETWEEN_CHECKS = 50


class FiniteLoss(Callback):
    """Stops the run if the training loss is NaN or infinite, before such a model is validated or saved.

    On the CPU every step is checked before its backward pass. On other devices reading the loss would synchronize host
    and device, so the first bad step is recorded on the device, and read every 50 steps and before each validation.
    There all processes are checked together, since bad gradients of one process reach the weights of all.
    """

    def __init__(self) -> None:
        self._first_bad: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state of an earlier training."""
        self._first_bad = None

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Checks this step's loss, or records on the device whether it is finite."""
        if loss.device.type == "cpu":
            if not math.isfinite(loss.item()):
                self._stop(trainer, trainer.global_step)
            return
        step = trainer.global_step
        bad = torch.where(loss.detach().isfinite(), torch.inf, float(step))
        self._first_bad = bad if self._first_bad is None else torch.minimum(self._first_bad, bad)
        if step % STEPS_BETWEEN_CHECKS == 0:
            self._check(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks before the weights are validated and saved."""
        self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks before the weights are saved if there is no validation."""
        self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        if self._first_bad is None:
            return
        step = trainer.strategy.reduce(self._first_bad, reduce_op="min").item()
        if step < torch.inf:
            self._stop(trainer, int(step))

    def _stop(self, trainer: Trainer, step: int) -> NoReturn:
        raise FloatingPointError(
            f"the training loss is not finite at step {step} (epoch {trainer.current_epoch}). Lower the learning rate, "
            "or clip gradients with --trainer.gradient_clip_val 1. The checkpoints of earlier epochs are kept"
        )
