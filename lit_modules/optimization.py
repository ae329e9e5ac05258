import inspect
import math
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class CosineWithWarmup(LambdaLR):
    """Raises the learning rate in a straight line, then lowers it to 0 along half a cosine (Loshchilov & Hutter 2017).

    Args:
        optimizer: Whose learning rates are scheduled.
        total_steps: Of the whole training; left out, a module of the zoo fills it in.
        warmup: Fraction of the steps that raise the rate.

    Raises:
        ValueError: If `warmup` is not in [0, 1), or nobody has filled in `total_steps`.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int | None = None, warmup: float = 0.1) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup: {warmup} is not in [0, 1)")
        if total_steps is None:
            raise ValueError("total_steps: the number of steps of the whole training is needed")
        warmup_steps = round(warmup * total_steps)
        falling_steps = total_steps - warmup_steps

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / (warmup_steps + 1)
            progress = (step - warmup_steps) / max(1, falling_steps)
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
    """Makes an optimizer and its scheduler, as Lightning wants them from `configure_optimizers`.

    Args:
        make_optimizer: Makes the optimizer from the weights; `None` is Adam.
        make_scheduler: Makes the scheduler from the optimizer, or `None`. One that takes `total_steps` moves at every
            step, and is given the number of steps of the whole training unless it has one; others move every epoch.
        weights: What is trained, or torch's parameter groups; the learning rates of one with `lr_scale`, the
            schedule's too, are as many times those of the others.
        total_steps: Tells the number of steps of the whole training.

    Raises:
        ValueError: If an option of the optimizer cannot be, or the steps are too few for the scheduler, or endless.
    """
    try:
        # Not a default in the modules' signature: jsonargparse would hand Adam's weight decay of 0 to a config's AdamW.
        optimizer = (make_optimizer or torch.optim.Adam)(weights)
    except ValueError as error:
        raise ValueError(f"model.optimizer: {error}; give one that it takes") from error
    scales = [group.get("lr_scale", 1.0) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        if "lr_scale" in group:
            group["lr"] *= group["lr_scale"]
    if make_scheduler is None:
        return optimizer
    known, given = _described(make_scheduler)
    counts_steps = "total_steps" in known
    try:
        steps: dict[str, Any] = {}
        if counts_steps and given.get("total_steps") is None:
            steps["total_steps"] = total_steps()
    except OverflowError as error:  # infinitely many
        raise ValueError(
            "model.scheduler: needs to know how many steps the whole training has; give --trainer.max_epochs or "
            "--trainer.max_steps"
        ) from error
    if any(scale != 1 for scale in scales):
        # Other schedules multiply the learning rates that they find.
        rates = {name: given[name] for name in ("max_lr", "base_lr") if isinstance(given.get(name), (int, float))}
        steps |= {name: [rate * scale for scale in scales] for name, rate in rates.items()}
    try:
        scheduler = make_scheduler(optimizer, **steps)
    except ZeroDivisionError as error:
        raise ValueError(
            f"model.scheduler: {steps.get('total_steps', 'so few')} steps are too few for its phases: train for more "
            "steps, or change its options (pct_start of a OneCycleLR)"
        ) from error
    return {
        "optimizer": optimizer,
        "lr_scheduler": {
            "scheduler": scheduler,
            "interval": "step" if counts_steps else "epoch",
            "monitor": getattr(scheduler, "monitor", "val/loss"),  # for one that waits for a plateau
            "name": "train/lr",
        },
    }


def require_schedule_left(schedulers: Iterable[Any], total_steps: Callable[[], float]) -> None:
    """Refuses to go on with a schedule that ends before the training; torch would say so when it is there.

    Args:
        schedulers: As they were restored from a checkpoint, with the steps that the training had then.
        total_steps: Tells the number of steps that the training has now.

    Raises:
        ValueError: The message has both.
    """
    for scheduler in schedulers:
        total = getattr(scheduler, "total_steps", None)
        if total is not None and total < (steps := total_steps()):
            raise ValueError(
                f"model.scheduler: the checkpoint's {type(scheduler).__name__} ends after {total:,} steps, but the "
                f"training is to have {steps:,}: leave --trainer.max_epochs and the batches as they were, or begin anew"
            )


def _described(factory: Any) -> tuple[Collection[str], dict[str, Any]]:
    """Names what a scheduler takes, and returns what of it has been given.

    What the command line makes is `partial(..., the class, **all its options)`.
    """
    options: dict[str, Any] = {}
    if isinstance(factory, partial):
        options = factory.keywords
        factory = next((argument for argument in factory.args if isinstance(argument, type)), factory.func)
    return inspect.signature(factory).parameters, options
