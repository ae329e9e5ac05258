"""What two processes agree on within an epoch, and checkpoints that only the first of them can reach."""

import os
import signal
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from litzoo.callbacks import BestCheckpoint, LastCheckpoint, SynchronizedStop
from litzoo.callbacks.agreement import Agreement
from litzoo.callbacks.checkpoints.atomic_io import add_state_to_checkpoints
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from tests.training import cpu_trainer
from tests.two_processes.processes import two_processes

STEPS_AN_EPOCH = 162
"""Of 1294 samples, four for each of two processes."""
ASKS_AT = 20


class Counts(Callback):
    """Counts messages between the processes that go through the device's group, and agreements."""

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        decide = trainer.strategy.reduce_boolean_decision
        self.decisions = trainer.strategy.reduce_boolean_decision = Mock(side_effect=decide)


class Asks(Callback):
    """Asks to stop in the second process, by `should_stop`, or by a signal that it sends to itself."""

    def __init__(self, how: str) -> None:
        self.how = how

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if (trainer.global_rank, trainer.global_step) == (1, ASKS_AT):
            if self.how == "should_stop":
                trainer.should_stop = True
            elif self.how == "SIGTERM":
                os.kill(os.getpid(), signal.SIGTERM)


class Holds(Callback):
    """Has a state that it adds to the checkpoints of a finished training: the weights that it was fitted to."""

    def __init__(self) -> None:
        self.sum = 0.0

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        def fit(_: str) -> None:
            self.sum = float(pl_module.net.head.weight.double().abs().sum())

        # The second process is on a machine without the files.
        missing = patch("torch.load", _load_no_file) if trainer.global_rank else nullcontext()
        with missing:
            add_state_to_checkpoints(self, trainer, pl_module, fit)

    def state_dict(self) -> dict[str, Any]:
        return {"sum": self.sum}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sum = state_dict["sum"]


def _load_no_file(source: Any, *args: Any, load: Any = torch.load, **options: Any) -> Any:
    """Loads what has been sent to this process, but no file."""
    if isinstance(source, (str, Path)):
        raise FileNotFoundError(source)
    return load(source, *args, **options)


def agree() -> dict[str, list[bool | None]]:
    """Returns the answers of 300 fast steps, the last half wanted by one process, and of 8 steps of 0.3 seconds."""
    trainer = Mock(world_size=2)
    fast = Agreement(trainer)
    rank = torch.distributed.get_rank()
    answers = [fast.any(rank == 1 and step >= 150) for step in range(300)]
    slow = Agreement(trainer)
    late = []
    for _ in range(8):
        time.sleep(0.3)
        late.append(slow.any(False))
    for each in (fast, slow):
        each.close()
    return {"fast": answers, "slow": late}


def stop(how: str) -> dict[str, Any]:
    """Trains until one process asks to stop, a timer ends or one gets SIGTERM; returns when, and how it ended."""
    callbacks = [Counts(), Asks(how), SynchronizedStop()]
    if how == "timer":
        callbacks.append(Timer(timedelta(seconds=0.3)))
    trainer = cpu_trainer(max_epochs=300, callbacks=callbacks, **two_processes())
    ended = "returned"
    try:
        trainer.fit(SoftmaxRegression((1, 28, 28), 10), DigitsDataModule(batch_size=4))
    except SIGTERMException:
        ended = "SIGTERM"
    epoch_loop = trainer.fit_loop.epoch_loop
    return {
        "step": trainer.global_step,
        "ended": ended,
        "decisions": callbacks[0].decisions.call_count,
        "restored": "_broadcast_sigterm_tensor" not in vars(epoch_loop)
        and "on_train_batch_end" not in vars(callbacks[-1]),
        "handler": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    }


def complete() -> float:
    """Trains, and completes checkpoints that only the first process can read; returns the state afterwards."""
    holds = Holds()
    callbacks = [holds, BestCheckpoint("val/loss", "max"), LastCheckpoint(every_n_minutes=1e-5)]
    trainer = cpu_trainer(
        max_epochs=3, callbacks=callbacks, enable_checkpointing=True, default_root_dir="completed", **two_processes()
    )
    with patch.dict(os.environ, TORCH_FORCE_WEIGHTS_ONLY_LOAD="1"):  # as the command does
        trainer.fit(SoftmaxRegression((1, 28, 28), 10), DigitsDataModule(batch_size=64))
    return holds.sum


def agreeing() -> dict[str, Any]:
    """Returns what one process has seen of all of this."""
    found: dict[str, Any] = {"completed": complete()}
    found |= {how: stop(how) for how in ("should_stop", "timer", "SIGTERM")}
    found["agreed"] = agree()  # Lightning leaves the processes connected
    return found
