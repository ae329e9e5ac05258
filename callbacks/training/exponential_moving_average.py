from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from litzoo.callbacks.training.early_stopping import BestWeightsEarlyStopping


class ExponentialMovingAverage(WeightAveraging):
    """Validates, saves and tests an exponential moving average (EMA) of the weights; training continues without it.

    It differs from Lightning's `WeightAveraging`: the decay rises to its value as (1 + n) / (10 + n), n being the
    number of updates, so that the random initial weights are soon forgotten. The average is kept in float32. Integer
    buffers, and the extra state of losses and pseudo-labels, are copied instead of averaged; the running statistics of
    batch norm are averaged like weights. Before the first update, validation uses the weights themselves.

    A checkpoint has the average under `state_dict`, and the weights to resume from beside it.

    Args:
        decay: Fraction of the average that stays at each step, in [0, 1).

    Raises:
        ValueError: If the decay is out of range.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ExponentialMovingAverage.decay: {decay} is outside [0, 1); 0.99 and 0.999 are usual")
        super().__init__(multi_avg_fn=self.update)
        self.decay = decay
        self._updates: int | None = None  # of the average, which counts them on the device; None if not read yet
        self._trained_values: list[Tensor] = []  # of a module that holds the average during validation

    def update(self, averages: list[Tensor], values: list[Tensor], updates: Tensor | int) -> None:
        """Updates averages in place.

        Args:
            averages: Tensors of one dtype, of any shapes.
            values: The current values, of the same shapes.
            updates: Number of updates before this one.
        """
        number = int(updates)
        decay = min(self.decay, (1 + number) / (10 + number)) if averages[0].is_floating_point() else 0.0
        # Weights of half precision are converted.
        values = [value.to(average.dtype) for average, value in zip(averages, values, strict=True)]
        if decay:
            torch._foreach_lerp_(averages, values, 1 - decay)
        else:
            torch._foreach_copy_(averages, values)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Creates the average, and rejects a second callback that exchanges weights.

        Raises:
            ValueError: If the trainer has a `BestWeightsEarlyStopping`.
        """
        if any(isinstance(each, BestWeightsEarlyStopping) for each in trainer.callbacks):  # type: ignore[attr-defined]
            raise ValueError(
                "ExponentialMovingAverage and BestWeightsEarlyStopping both replace the model's weights; use "
                "lightning.pytorch.callbacks.EarlyStopping instead"
            )
        if stage == "fit":
            self._latest_update_step, self._latest_update_epoch = 0, -1  # reset those of an earlier training
            self._updates = None
        super().setup(trainer, pl_module, stage)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Moves the average to the module's device, which is only now known; it stays float32."""
        assert self._average_model is not None
        self._average_model.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Updates the average after an optimizer step.

        `AveragedModel.update_parameters` reads its counter from the device, which then has to be waited for.
        """
        step = trainer.global_step
        if step <= self._latest_update_step or not self.should_update(step_idx=step - 1):
            return
        self._latest_update_step = step
        assert self._average_model is not None
        if self._updates is None:
            self._updates = int(self._average_model.n_averaged)
        pairs = zip(_values_of(self._average_model.module), _values_of(pl_module), strict=True)
        by_type: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        for average, value in pairs:
            averages, values = by_type.setdefault(average.dtype, ([], []))
            averages.append(average.detach())
            values.append(value.detach())
        for averages, values in by_type.values():
            if self._updates:
                self.update(averages, values, self._updates)
            else:
                torch._foreach_copy_(averages, values)
        self._average_model.n_averaged += 1
        self._updates += 1

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restores average and weights to resume training; for a test, the module has loaded the average already."""
        self._updates = None
        if trainer.training:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Writes the average into the checkpoint, with the current extra state of submodules, which has no average."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        current = checkpoint.get("current_model_state", {})
        if current and self._average_model is not None and not self._average_model.n_averaged:
            checkpoint["state_dict"] = dict(current)  # before the first update, validation uses the weights themselves
        checkpoint["state_dict"] |= {name: state for name, state in current.items() if name.endswith("_extra_state")}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copies the average into the module during `fit`; `validate` uses the module's own weights.

        Lightning would swap the two, and so round each to the dtype of the other.
        """
        if trainer.state.fn == TrainerFn.FITTING:
            self._trained_values = [value.detach().clone() for value in _values_of(pl_module)]
            self._copy_average_to_current(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the module's trained weights."""
        for value, trained in zip(_values_of(pl_module), self._trained_values, strict=False):
            value.data.copy_(trained)
        self._trained_values = []

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restores the module's trained weights if a validation is interrupted."""
        self.on_validation_epoch_end(trainer, pl_module)

    def _copy_average_to_current(self, pl_module: LightningModule) -> None:
        assert self._average_model is not None
        if self._average_model.n_averaged:
            super()._copy_average_to_current(pl_module)


def _values_of(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
