"""Learning-rate schedules in a training: checks, `ReduceLROnPlateau`, and the rate that Lightning's finder sets."""

import math
import warnings
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info

from litzoo.lit_modules.optimization import optimizer_steps


def require_schedules(trainer: Trainer) -> None:
    """Checks the schedules at the start of a training.

    Raises:
        ValueError: If a resumed training is longer than its schedule, or a `ReduceLROnPlateau` monitors a validation
            metric without validation.
    """
    for config in trainer.lr_scheduler_configs:
        if trainer.ckpt_path is not None:
            _require_schedule_left(trainer, config.scheduler)
        if config.reduce_on_plateau:
            _require_validation(trainer, str(config.monitor))
            warnings.filterwarnings("ignore", "ReduceLROnPlateau conditioned on metric val/")


def require_logged_monitors(trainer: Trainer) -> None:
    """Checks, after a validation, that it logs what each `ReduceLROnPlateau` monitors.

    Raises:
        ValueError: If it does not.
    """
    metrics = trainer.callback_metrics
    for config in trainer.lr_scheduler_configs:
        monitor = str(config.monitor)
        if config.reduce_on_plateau and monitor.startswith("val/") and monitor not in metrics:
            raise ValueError(
                f"model.scheduler: ReduceLROnPlateau monitors {monitor}, which is not logged; choose one of "
                f"{', '.join(sorted(metrics))}"
            )


def monitors_validation(trainer: Trainer, scheduler: Any) -> bool:
    """Whether a scheduler is a `ReduceLROnPlateau` on a validation metric."""
    return any(
        config.scheduler is scheduler and config.reduce_on_plateau and str(config.monitor).startswith("val/")
        for config in trainer.lr_scheduler_configs
    )


def learning_rate(trainer: Trainer) -> float:
    """Returns the learning rate of the first parameter group; NaN if there is no optimizer yet."""
    return float(trainer.optimizers[0].param_groups[0]["lr"]) if trainer.optimizers else math.nan


def set_learning_rate(trainer: Trainer, rate: float) -> None:
    """Sets the rate of all parameter groups and the start of the schedules."""
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            group |= {name: rate for name in ("lr", "initial_lr") if name in group}
    for config in trainer.lr_scheduler_configs:
        if hasattr(config.scheduler, "base_lrs"):
            config.scheduler.base_lrs = [rate] * len(config.scheduler.base_lrs)
    rank_zero_info(f"The learning rate is set to the suggestion, {rate:.3g}")


def _require_validation(trainer: Trainer, monitor: str) -> None:
    """Raises a ValueError if a scheduler monitors a validation metric, but the training has no validation."""
    if monitor.startswith("val/") and not (trainer.enable_validation and any(trainer.num_val_batches)):
        raise ValueError(
            f"model.scheduler: ReduceLROnPlateau monitors {monitor}, but there is no validation: set data.val_size and "
            "--trainer.limit_val_batches above 0, or give it a monitor such as train/loss"
        )


def _require_schedule_left(trainer: Trainer, scheduler: Any) -> None:
    """Raises a ValueError if a scheduler, restored from a checkpoint, was planned for fewer steps than the training.

    Torch raises only after the last step of the schedule.
    """
    total = getattr(scheduler, "total_steps", None)
    if total is not None and total < (steps := optimizer_steps(trainer)):
        raise ValueError(
            f"model.scheduler: the checkpoint's {type(scheduler).__name__} ends after {total:,} steps, but the "
            f"training is to have {steps:,}: keep --trainer.max_epochs and the number of batches, or start a new "
            "training"
        )
