"""Decisions that the processes of a training take together, without a message at every step."""

import time
from typing import Any

import torch
from lightning.pytorch import Trainer

SECONDS = 1.0
"""Between two agreements, where a step takes less."""
MOST_STEPS = 50
"""Between two agreements."""


def is_terminating(trainer: Trainer) -> bool:
    """Whether SIGTERM ends the training; of several processes all together, as `SynchronizedStop` has made them agree.

    Without that callback, the others may be in the middle of a step, or gone.
    """
    if trainer.world_size == 1:
        return trainer.received_sigterm
    return any(getattr(each, "is_terminating", False) for each in trainer.callbacks)  # type: ignore[attr-defined]


class Agreement:
    """Asks all processes whether one of them wants something, about every second, at least every 50 steps.

    The processes agree at the same step, the first of a training included, and also on the step of the next agreement.
    The message goes through the CPU (gloo), so that no process waits for its device.

    Args:
        trainer: Every process has to create the agreement, and to call `any` after each step.
    """

    def __init__(self, trainer: Trainer) -> None:
        # `new_group` returns a number in processes that are not in the group; here all are.
        self._group: Any = torch.distributed.new_group(backend="gloo") if trainer.world_size > 1 else None
        self._since, self._steps, self._due = time.monotonic(), 0, 1

    def any(self, wanted: bool) -> bool | None:
        """Returns whether a process wants it, or None if this step has no agreement."""
        if self._group is None:
            return wanted
        self._steps += 1
        if self._steps < self._due:
            return None
        seconds = (time.monotonic() - self._since) / self._steps
        due = max(1, min(MOST_STEPS, int(SECONDS / max(seconds, SECONDS / MOST_STEPS))))
        message = torch.tensor([wanted, -due])
        torch.distributed.all_reduce(message, torch.distributed.ReduceOp.MAX, self._group)
        self._since, self._steps, self._due = time.monotonic(), 0, -int(message[1])
        return bool(message[0])

    def close(self) -> None:
        """Removes the group of processes; every process has to call it."""
        if self._group is not None and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group(self._group)
        self._group = None
