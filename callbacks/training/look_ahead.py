from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class LookAhead(Callback):
    """Pulls the weights back to a slow average of themselves every few steps, more and more towards the end.

    After every `every` steps, slow ← keep · slow + (1 − keep) · weights, and the weights continue from slow (Zhang et
    al. 2019, Lookahead). Here `keep` rises from 0 to `decay ** every` with the cube of the progress of the training
    (Jordan 2024): the last steps are averaged, and the first are not slowed down. Running statistics of batch norm are
    averaged too; the optimizer's state is not changed. The slow weights are saved in checkpoints.

    Args:
        every: Optimizer steps between two updates.
        decay: Fraction of the slow weights that each step leaves at the end of the training, in [0, 1).

    Raises:
        ValueError: If `every` is below 1, or the decay is out of range.
    """

    def __init__(self, every: int = 5, decay: float = 0.95) -> None:
        if every < 1:
            raise ValueError(f"LookAhead.every: {every} is below 1; 5 is usual")
        if not 0 <= decay < 1:
            raise ValueError(f"LookAhead.decay: {decay} is outside [0, 1); 0.95 is usual")
        self.every, self.decay = every, decay
        self._slow: dict[str, Tensor] = {}
        self._updated_at = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the slow weights of an earlier training; those of a checkpoint are loaded after this."""
        self._slow, self._updated_at = {}, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the slow weights at the weights, or moves those of a checkpoint to the module's device.

        Raises:
            ValueError: If the number of steps of the training is infinite.
        """
        if trainer.estimated_stepping_batches == float("inf"):
            raise ValueError(
                "LookAhead: needs the number of steps of the whole training; set --trainer.max_epochs or "
                "--trainer.max_steps"
            )
        self._slow = {
            name: self._slow[name].to(value.device) if name in self._slow else value.detach().clone()
            for name, value in _averaged(pl_module)
        }

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Updates slow weights and weights, if it is time, and at the end of the training."""
        step, total = trainer.global_step, int(trainer.estimated_stepping_batches)
        if step == self._updated_at or (step % self.every and step < total):
            return
        self._updated_at = step
        keep = self.decay**self.every * min(1.0, step / total) ** 3
        self.update(pl_module, keep)

    @torch.no_grad()
    def update(self, module: LightningModule, keep: float) -> None:
        """Updates slow weights and weights.

        Args:
            module: Module with the weights.
            keep: Fraction of the slow weights that stays.
        """
        for name, value in _averaged(module):
            value.copy_(self._slow[name].lerp_(value, 1 - keep))

    def state_dict(self) -> dict[str, Any]:
        """Returns the slow weights, by name, and the step of the last update."""
        return {"slow": self._slow, "updated_at": self._updated_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the slow weights."""
        self._slow, self._updated_at = dict(state_dict["slow"]), state_dict["updated_at"]


def _averaged(module: LightningModule) -> Iterator[tuple[str, Tensor]]:
    """Yields parameters and buffers with fractional values, by name."""
    both = chain(module.named_parameters(), module.named_buffers())
    return ((name, value) for name, value in both if value.is_floating_point())
