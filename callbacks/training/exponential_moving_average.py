from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from litzoo.callbacks.training.early_stopping import BestWeightsEarlyStopping


class ExponentialMovingAverage(WeightAveraging):
    """Validates, saves and tests a running mean of the weights, while training goes on with the weights themselves.

    Lightning's averaging, with these differences. The mean is not held back by the first, random weights: the decay
    rises to its value as (1 + n) / (10 + n), n being the updates so far. It is kept in float32. Counts, and what losses
    and pseudo-labels keep, are copied, not averaged. Nothing is exchanged before the first update of a training.
    Running statistics of batch norm are averaged as weights are.

    A checkpoint has the mean under `state_dict`, and the weights to go on with beside it.

    Args:
        decay: How much of the mean stays at each step, in [0, 1).

    Raises:
        ValueError: If the decay is out of range.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ExponentialMovingAverage.decay: {decay} is outside [0, 1); 0.99 and 0.999 are usual")
        super().__init__(multi_avg_fn=self.update)
        self.decay = decay
        self._own: list[Tensor] = []  # the weights of a module that has been lent the mean

    def update(self, means: list[Tensor], values: list[Tensor], updates: Tensor) -> None:
        """Moves means in place, tensors of one type and any shapes.

        Args:
            means: So far.
            values: The newest.
            updates: How many there were before.
        """
        number = int(updates)
        stays = min(self.decay, (1 + number) / (10 + number)) if means[0].is_floating_point() else 0.0
        values = [value.to(mean.dtype) for mean, value in zip(means, values, strict=True)]  # of half precision
        if stays:
            torch._foreach_lerp_(means, values, 1 - stays)
        else:
            torch._foreach_copy_(means, values)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses another callback that exchanges weights.

        Raises:
            ValueError: If there is one.
        """
        if any(isinstance(each, BestWeightsEarlyStopping) for each in trainer.callbacks):  # type: ignore[attr-defined]
            raise ValueError(
                "ExponentialMovingAverage and BestWeightsEarlyStopping: each puts weights of its own into the model; "
                "stop with lightning.pytorch.callbacks.EarlyStopping instead"
            )
        if stage == "fit":
            self._latest_update_step, self._latest_update_epoch = 0, -1  # of an earlier training
        super().setup(trainer, pl_module, stage)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Moves the mean to the device that the module has been moved to since; it stays float32."""
        assert self._average_model is not None
        self._average_model.to(pl_module.device)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Takes over mean and weights to go on with; a test only needs what has been loaded already."""
        if trainer.training:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Puts the mean into the checkpoint; what parts keep beside weights has no mean, and stays the newest."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        newest = checkpoint.get("current_model_state", {})
        checkpoint["state_dict"] |= {name: kept for name, kept in newest.items() if name.endswith("_extra_state")}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lends the module the mean, within a training; after it, what is validated are the weights that are given.

        Lightning would exchange the two, and round each to the type of the other.
        """
        if trainer.state.fn == TrainerFn.FITTING:
            self._own = [value.detach().clone() for value in _values_of(pl_module)]
            self._copy_average_to_current(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gives the module its own weights back."""
        for value, own in zip(_values_of(pl_module), self._own, strict=False):
            value.data.copy_(own)
        self._own = []

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Does so too when a validation is interrupted."""
        self.on_validation_epoch_end(trainer, pl_module)

    def _copy_average_to_current(self, pl_module: LightningModule) -> None:
        assert self._average_model is not None
        if self._average_model.n_averaged:
            super()._copy_average_to_current(pl_module)


def _values_of(module: LightningModule) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
