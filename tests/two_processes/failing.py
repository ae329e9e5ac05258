"""Runs that fail in one of two processes, and how they end. Each has processes of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from litzoo.callbacks import FiniteLoss
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from litzoo.scripts.cli.failures import interruptible, leave, tell_errors, watch
from litzoo.scripts.cli.main import main
from tests.scripts.helpers import MLP, QUIET
from tests.training import cpu_trainer
from tests.two_processes.processes import FORKED, PROCESSES, become, free_port

REASON = "what went wrong"
PATIENCE = 60.0
"""Seconds in which all processes have to end."""


class Fails(Callback):
    """Fails in one of the processes, or in all; with `hang` the others are not to be reached by an exception.

    Args:
        how: `refuse` in `setup`; in the third step `raise`, `nan` for a bad batch, or send itself a signal.
        rank: In which process; all of them when left out.
        hang: Whether the others do something else meanwhile, for longer than a test waits.
    """

    def __init__(self, how: str, rank: int | None = None, hang: bool = False) -> None:
        self.how, self.rank, self.hang = how, rank, hang

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.how == "refuse" and self.rank in (None, trainer.global_rank):
            raise ValueError(REASON)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx != 2:
            return
        if self.rank not in (None, trainer.global_rank):
            time.sleep(10 * PATIENCE if self.hang else 0)
        elif self.how == "raise":
            raise ValueError(REASON)
        elif self.how == "nan":
            batch["input"].fill_(float("nan"))
        elif self.how.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, self.how))


class KillsEarly(Callback):
    """Kills one of two processes while the second is made ready, before they know each other."""

    def __init__(self, rank: int) -> None:
        if os.environ.get("LOCAL_RANK") == "1":
            os.kill(os.getpid() if rank else os.getppid(), signal.SIGKILL)


class Ended(NamedTuple):
    """The exit codes of the processes that were started, and what all wrote to stderr."""

    codes: list[int | None]
    said: str


def train(*failure: Any) -> None:
    """Trains as the command does, until it fails as `Fails` does."""

    def fit() -> None:
        options = {"accelerator": "cpu", "devices": PROCESSES, "strategy": "ddp"}
        trainer = cpu_trainer(callbacks=[Fails(*failure), FiniteLoss()], **options)
        watch(trainer)
        with interruptible([], Path("run")):
            trainer.fit(SoftmaxRegression((1, 28, 28), 10), DigitsDataModule(batch_size=16, train_size=96, val_size=20))
        leave()

    with patch("litzoo.scripts.cli.lifeline.GRACE", 1.0 if len(failure) > 2 else 10.0):
        tell_errors(fit)


def command(*options: str) -> None:
    """Trains with the command."""
    with patch("sys.argv", ["litzoo", "fit", *MLP, *QUIET, "--trainer.devices=2", *options]):
        main()


def end_of(action: Callable[..., None], *args: Any, folder: Path, by: str) -> Ended:
    """Runs an action that fails in two fresh processes, and waits until all have ended.

    Args:
        action: A function of a module.
        *args: Of the action.
        folder: To run it in.
        by: What starts both processes, `torchrun` or `slurm` (which here do not end one when the other fails, as the
            real ones do, but `strict` torchrun does), or a `trainer` in the first one, which starts the second.

    Raises:
        TimeoutError: If one of them lives for more than a minute.
    """
    alive, held = FORKED.Pipe(duplex=False)  # it ends with the last process that holds it
    ranks, port = ([None] if by == "trainer" else range(PROCESSES)), free_port()
    processes = [FORKED.Process(target=_process, args=(held, rank, by, port, folder, action, args)) for rank in ranks]
    for process in processes:
        process.start()
    held.close()
    if by == "strict":
        wait([process.sentinel for process in processes], PATIENCE)
        for process in processes:
            process.terminate()
    in_time = alive.poll(PATIENCE)
    for process in processes:
        if not in_time:
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
    said = "".join(path.read_text() for path in sorted(folder.glob("*.stderr")))
    if not in_time:
        raise TimeoutError(said)
    return Ended([process.exitcode for process in processes], said)


def _process(
    held: Any, rank: int | None, by: str, port: int, folder: Path, action: Callable[..., None], args: tuple[Any, ...]
) -> None:
    os.setpgrp()
    for number, name in [(1, "stdout"), (2, "stderr")]:
        os.dup2(os.open(folder / f"{rank}.{name}", os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    if rank is None:
        os.chdir(folder)
        torch.set_num_threads(1)
    else:
        become(rank, port, folder, "slurm" if by == "slurm" else "torchrun")
    stand_in = SimpleNamespace(Popen=partial(_Fork, partial(action, *args)))
    with patch("lightning.pytorch.strategies.launchers.subprocess_script.subprocess", stand_in):
        action(*args)


class _Fork(subprocess.Popen):
    """Stands for a process that a trainer starts: a fork of this one, which is spared the imports."""

    def __init__(self, action: Callable[[], None], command: list[str], env: dict[str, str], cwd: None) -> None:
        self.args, self.returncode = command, None
        self.stdin = self.stdout = self.stderr = None
        self._waitpid_lock, self._child_created = threading.Lock(), True
        self.pid = os.fork()
        if self.pid:
            return
        os.environ.update(env)
        rank_zero_only.rank = int(env["LOCAL_RANK"])
        try:
            action()
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        sys.stdout.flush()
        os._exit(0)
