"""Optimizers and learning-rate schedules."""

import inspect
import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


class CosineWithWarmup(LambdaLR):
    """Linear warm-up of the learning rate, then cosine decay to 0 (Loshchilov & Hutter 2017).

    Args:
        optimizer: Optimizer whose learning rates are scheduled.
        total_steps: Steps of the whole training; litzoo's modules fill it in.
        warmup: Fraction of the steps that are warm-up.

    Raises:
        ValueError: If `warmup` is not in [0, 1), or `total_steps` is missing.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int | None = None, warmup: float = 0.1) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup: {warmup} is not in [0, 1)")
        if total_steps is None:
            raise ValueError("total_steps: the number of steps of the whole training is needed")
        warmup_steps = round(warmup * total_steps)
        decay_steps = total_steps - warmup_steps

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / (warmup_steps + 1)
            progress = (step - warmup_steps) / max(1, decay_steps)
            return (1 + math.cos(math.pi * min(1.0, progress))) / 2

        super().__init__(optimizer, factor)


class Triangular(LambdaLR):
    """Raises the learning rate linearly to its peak, then lowers it linearly (Page 2018).

    Args:
        optimizer: Optimizer whose learning rates are the peak.
        total_steps: Steps of the whole training; litzoo's modules fill it in.
        start: Learning rate of the first step, as a fraction of the peak.
        peak: Fraction of the steps before the peak.
        end: Learning rate at the end, as a fraction of the peak.

    Raises:
        ValueError: If `peak` is not in [0, 1), `start` or `end` not in [0, 1], or `total_steps` is missing.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int | None = None,
        start: float = 0.2,
        peak: float = 0.23,
        end: float = 0.07,
    ) -> None:
        if not 0 <= peak < 1:
            raise ValueError(f"peak: {peak} is not in [0, 1)")
        for name, value in (("start", start), ("end", end)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: {value} is not in [0, 1]")
        if total_steps is None:
            raise ValueError("total_steps: the number of steps of the whole training is needed")
        self.total_steps = total_steps

        def factor(step: int) -> float:
            done = min(1.0, step / total_steps)
            if done < peak:
                return start + (1 - start) * done / peak
            return 1 + (end - 1) * (done - peak) / (1 - peak)

        super().__init__(optimizer, factor)


def optimizer_config(
    make_optimizer: OptimizerCallable | None,
    make_scheduler: LRSchedulerCallable | None,
    weights: list[nn.Parameter] | list[dict[str, Any]],
    total_steps: Callable[[], int],
) -> Any:
    """Creates an optimizer and its scheduler in the form that Lightning's `configure_optimizers` returns.

    Args:
        make_optimizer: Creates the optimizer from the weights; `None` for Adam.
        make_scheduler: Creates the scheduler from the optimizer, or `None`. One with a `total_steps` parameter is
            stepped after every batch, and gets the steps of the whole training unless it has a value; others are
            stepped after every epoch.
        weights: Trainable parameters, or torch's parameter groups; `lr_scale` of a group multiplies its learning
            rates, those of the schedule too.
        total_steps: Returns the number of steps of the whole training.

    Raises:
        ValueError: If the optimizer rejects an option, or the number of steps is infinite or too small for the
            scheduler.
    """
    try:
        # Adam is no default in the modules' signatures: jsonargparse would pass its weight decay of 0 to an AdamW.
        optimizer = (make_optimizer or torch.optim.Adam)(weights)
    except ValueError as error:
        raise ValueError(f"model.optimizer: {error}; change that option") from error
    scales = [group.get("lr_scale", 1.0) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        if "lr_scale" in group:
            group["lr"] *= group["lr_scale"]
    if make_scheduler is None:
        return optimizer
    parameters, given = _signature_of(make_scheduler)
    per_step = "total_steps" in parameters
    try:
        options: dict[str, Any] = {}
        if per_step and given.get("total_steps") is None:
            options["total_steps"] = total_steps()
    except OverflowError as error:  # infinitely many
        raise ValueError(
            "model.scheduler: needs the number of steps of the whole training; set --trainer.max_epochs or "
            "--trainer.max_steps"
        ) from error
    if any(scale != 1 for scale in scales):
        # Schedulers without these options multiply the groups' learning rates, which are scaled already.
        rates = {name: given[name] for name in ("max_lr", "base_lr") if isinstance(given.get(name), (int, float))}
        options |= {name: [rate * scale for scale in scales] for name, rate in rates.items()}
    try:
        scheduler = make_scheduler(optimizer, **options)
    except ZeroDivisionError as error:
        raise ValueError(_too_few_steps(make_scheduler, optimizer, options)) from error
    return {
        "optimizer": optimizer,
        "lr_scheduler": {
            "scheduler": scheduler,
            "interval": "step" if per_step else "epoch",
            "monitor": getattr(scheduler, "monitor", "val/loss"),  # for ReduceLROnPlateau
            "strict": False,  # an epoch without validation has no value; `require_schedules` refuses what never has one
            "name": "train/lr",
        },
    }


def _too_few_steps(make_scheduler: Any, optimizer: Optimizer, options: dict[str, Any]) -> str:
    """Returns why a scheduler divides by zero: a phase of it takes no time. For a OneCycleLR with a value that works.

    A OneCycleLR counts its steps from 0, so that a warm-up of exactly one step ends where it begins.
    """
    parameters, given = _signature_of(make_scheduler)
    steps = options.get("total_steps", given.get("total_steps"))
    if "pct_start" not in parameters or not steps:
        return f"model.scheduler: {steps or 'so few'} steps are too few for its phases: train for more steps"
    chosen = given.get("pct_start", inspect.signature(OneCycleLR).parameters["pct_start"].default)
    problem = f"model.scheduler: {steps} steps with pct_start {chosen:g} leave no time to warm up"
    for percent in range(math.ceil(200 / steps), 101):  # from two steps on
        try:
            make_scheduler(optimizer, **options, pct_start=percent / 100)
        except ZeroDivisionError:
            continue
        return f"{problem}: set --model.scheduler.pct_start {percent / 100:g}, or train for more steps"
    return f"{problem}, at any value: train for at least 2 steps, with --trainer.max_epochs or --trainer.max_steps"


def optimizer_steps(trainer: Trainer) -> float:
    """Returns the number of optimizer steps of the whole training, also if gradient accumulation is scheduled."""
    steps = trainer.estimated_stepping_batches
    schedules = [each for each in trainer.callbacks if isinstance(each, GradientAccumulationScheduler)]  # type: ignore[attr-defined]
    if steps < 0 or trainer.max_epochs in (None, -1) or not schedules:
        return steps if steps >= 0 else math.inf  # -1 is Lightning's for a loader without length
    per_epoch = [schedules[0].get_accumulate_grad_batches(epoch) for epoch in range(max(trainer.max_epochs or 0, 1))]
    steps = sum(math.ceil(trainer.num_training_batches / batches) for batches in per_epoch)
    return steps if trainer.max_steps == -1 else min(steps, trainer.max_steps)


def require_factories(optimizer: Any, scheduler: Any) -> None:
    """Checks that optimizer and scheduler, if given, are callables that make one, not objects or names.

    Raises:
        TypeError: If not; the message says what is accepted.
    """
    for option, value, example in (
        ("optimizer", optimizer, "torch.optim.AdamW, or functools.partial(torch.optim.AdamW, lr=1e-3)"),
        (
            "scheduler",
            scheduler,
            "CosineWithWarmup, or functools.partial(torch.optim.lr_scheduler.StepLR, step_size=5)",
        ),
    ):
        if value is not None and not callable(value):
            given = repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
            raise TypeError(f"{option}: {given} cannot be called; give the class, such as {example}")


def _signature_of(factory: Any) -> tuple[Collection[str], dict[str, Any]]:
    """Returns the parameter names of a scheduler, and the options it is given already.

    The command line creates `partial(..., the class, **all its options)`.
    """
    options: dict[str, Any] = {}
    if isinstance(factory, partial):
        options = factory.keywords
        factory = next((argument for argument in factory.args if isinstance(argument, type)), factory.func)
    return inspect.signature(factory).parameters, options
