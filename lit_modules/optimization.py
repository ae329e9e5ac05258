import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn


def optimizer_config(
    make_optimizer: OptimizerCallable | None,
    make_scheduler: LRSchedulerCallable | None,
    weights: list[nn.Parameter],
    total_steps: Callable[[], int],
) -> Any:
    """Makes an optimizer and its scheduler, as Lightning wants them from `configure_optimizers`.

    Args:
        make_optimizer: Makes the optimizer from the weights; `None` is Adam.
        make_scheduler: Makes the scheduler from the optimizer, or `None`. One that takes `total_steps` moves at every
            step, and is given the number of steps of the whole training unless it has one; others move every epoch.
        weights: What is trained.
        total_steps: Tells the number of steps of the whole training.

    Raises:
        ValueError: If an option of the optimizer cannot be, or the steps are too few for the scheduler, or endless.
    """
    try:
        # Not a default in the modules' signature: jsonargparse would hand Adam's weight decay of 0 to a config's AdamW.
        optimizer = (make_optimizer or torch.optim.Adam)(weights)
    except ValueError as error:
        raise ValueError(f"model.optimizer: {error}; give one that it takes") from error
    if make_scheduler is None:
        return optimizer
    counts_steps, given = _total_steps(make_scheduler)
    try:
        steps = {"total_steps": total_steps()} if counts_steps and not given else {}
    except OverflowError as error:  # infinitely many
        raise ValueError(
            "model.scheduler: needs to know how many steps the whole training has; give --trainer.max_epochs or "
            "--trainer.max_steps"
        ) from error
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


def _total_steps(factory: Any) -> tuple[bool, bool]:
    """Says whether a scheduler takes `total_steps`, and whether it has been given them.

    What the command line makes is `partial(..., the class, **all its options)`.
    """
    options: dict[str, Any] = {}
    if isinstance(factory, partial):
        options = factory.keywords
        factory = next((argument for argument in factory.args if isinstance(argument, type)), factory.func)
    return "total_steps" in inspect.signature(factory).parameters, options.get("total_steps") is not None
