"""Freezing, parameter groups and checks for networks that are trained stage by stage; used by `GradualUnfreezing`."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, ParallelStrategy
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from litzoo.callbacks.contracts import ServesParts
from litzoo.lit_modules import TransferClassifier
from litzoo.lit_modules.networks.stages import Stage


def train_last_stages(stages: Sequence[Stage], count: int) -> None:
    """Trains the last stages of a network only; the others get no gradients and are in evaluation mode.

    Lightning's `BaseFinetuning.freeze` leaves dropout on, and batch norm in training mode.
    """
    for number, stage in enumerate(stages):
        trained = number >= len(stages) - count
        for module in stage.modules:
            module.train(trained)
        for weight in stage.weights:
            weight.requires_grad_(trained)


def parameter_groups(module: nn.Module, stages: Sequence[Stage], factor: float) -> list[dict[str, Any]]:
    """Returns one parameter group for each stage, the head's first.

    The head's group also has the trained parameters outside the network, such as those of the loss.

    Args:
        module: Its parameters are grouped.
        stages: The stages of its network, from the input to the head.
        factor: Ratio of the learning rates of each stage and the stage after it.
    """
    in_stages = {weight for stage in stages for weight in stage.weights}
    others = [weight for weight in module.parameters() if weight.requires_grad and weight not in in_stages]
    groups: list[dict[str, Any]] = [
        {"name": stage.name, "params": list(stage.weights), "lr_scale": factor**depth}
        for depth, stage in enumerate(reversed(stages))
    ]
    groups[0]["params"] += others
    return groups


def rewrap_ddp(trainer: Trainer) -> None:
    """Wraps the module in `DistributedDataParallel` again, so that newly unfrozen parameters are synchronized.

    DDP only synchronizes the parameters that required gradients when the module was wrapped; others would silently
    diverge between the processes.
    """
    if isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy.model = trainer.lightning_module
        trainer.strategy.configure_ddp()


def require_cacheable(trainer: Trainer, module: LightningModule) -> None:
    """Raises an error if the features of a training sample are not the same in every epoch.

    Raises:
        TypeError: If the module cannot cache features, or the datamodule lacks `evaluation_batches`.
        ValueError: If training images are augmented, or changed by the module.
    """
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(module, TransferClassifier) or not isinstance(datamodule, ServesParts):
        raise TypeError(
            "GradualUnfreezing.cache_features needs a TransferClassifier and one of litzoo's datamodules, not "
            f"{type(module).__name__} and {type(datamodule).__name__}"
        )
    if (augment := getattr(datamodule, "augment", "none")) not in ("none", ["none"]):
        raise ValueError(
            f"GradualUnfreezing.cache_features: data.augment {augment} changes the images in every epoch; set it to "
            "none, or remove cache_features"
        )
    module.require_cacheable()


def check_unfreezing_schedule(trainer: Trainer, epochs: Sequence[int]) -> None:
    """Rejects a strategy that cannot unfreeze parameters, and warns if the training ends before the last unfreezing.

    Args:
        trainer: The trainer.
        epochs: The first epoch, and each epoch that unfreezes stages, in order.

    Raises:
        ValueError: If more stages are trained later, and the strategy does not support it.
    """
    strategy = trainer.strategy
    if len(epochs) > 1 and isinstance(strategy, ParallelStrategy) and not isinstance(strategy, DDPStrategy):
        raise ValueError(
            f"GradualUnfreezing.unfreeze_at: {type(strategy).__name__} cannot unfreeze parameters during training; use "
            "--trainer.strategy ddp, or train the same stages in every epoch"
        )
    if 0 < (trainer.max_epochs or 0) <= epochs[-1]:
        rank_zero_warn(
            f"GradualUnfreezing.unfreeze_at: epoch {epochs[-1]} is never reached, training ends after "
            f"{trainer.max_epochs} epochs (counted from 0)"
        )
