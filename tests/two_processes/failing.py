"""Runs that fail in one of two processes, and how they end. Each has processes of its own."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks import FiniteLoss, SynchronizedStop
from litzoo.callbacks.training import synchronized_stop
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from litzoo.scripts.cli.failures import EndAtOnce, ErrorReport, interruptible, report_errors
from litzoo.scripts.cli.main import main
from tests.scripts.helpers import MLP, QUIET
from tests.training import cpu_trainer
from tests.two_processes.processes import FORKED, PROCESSES, become, free_port

REASON = "what went wrong"
TIMEOUT = 30.0
"""Seconds in which all processes have to end after one has."""


class Fails(Callback):
    """Fails in one of the processes, or in all; with `hang` the others cannot be reached by an exception.

    Args:
        how: `refuse` in `setup`; in the third step of the second epoch `raise`, `nan` for a bad batch, or the name of a
            signal that it sends to itself.
        rank: In which process; all of them if left out.
        hang: Whether the others do something else meanwhile, for longer than a test waits.
        launcher: Whether it sends the signal to the process that has started it.
        epoch: In which epoch.
    """

    def __init__(
        self, how: str, rank: int | None = None, hang: bool = False, launcher: bool = False, epoch: int = 0
    ) -> None:
        self.how, self.rank, self.hang, self.launcher, self.epoch = how, rank, hang, launcher, epoch
        if hang:
            synchronized_stop.PATIENCE = 3.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.how == "refuse" and self.rank in (None, trainer.global_rank):
            raise ValueError(REASON)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx != 2 or trainer.current_epoch != self.epoch:
            return
        if self.rank not in (None, trainer.global_rank):
            time.sleep(10 * TIMEOUT if self.hang else 0)
        elif self.how == "raise":
            raise ValueError(REASON)
        elif self.how == "nan":
            batch["input"].fill_(float("nan"))
        elif self.how.startswith("SIG"):
            os.kill(os.getppid() if self.launcher else os.getpid(), getattr(signal, self.how))


class KilledEarly(Callback):
    """Kills one of two processes in its constructor, before they know each other."""

    def __init__(self, rank: int) -> None:
        if os.environ.get("LOCAL_RANK") == str(rank):
            os.kill(os.getpid(), signal.SIGKILL)


class Ended(NamedTuple):
    """The exit codes of the processes that the test has started, and what all wrote to stderr."""

    codes: list[int | None]
    stderr: str


def train(*failure: Any) -> None:
    """Trains as the command does in one of two processes, until it fails as `Fails` does."""

    def fit() -> None:
        options = {"accelerator": "cpu", "devices": PROCESSES, "strategy": "ddp"}
        callbacks = [ErrorReport(), EndAtOnce(), Fails(*failure), FiniteLoss(), SynchronizedStop()]
        trainer = cpu_trainer(callbacks=callbacks, **options)
        with interruptible([], Path("run")):
            trainer.fit(SoftmaxRegression((1, 28, 28), 10), DigitsDataModule(batch_size=16, train_size=96, val_size=20))

    report_errors(fit)


def command(*options: str) -> None:
    """Trains with the command, which launches two processes."""
    two = ["--trainer.devices=2", "--trainer.max_epochs=3", "--test_after_fit=false", "--data.train_size=300"]
    with patch("sys.argv", ["litzoo", "fit", *MLP, *QUIET, *two, *options]):
        main()


def end_of(action: Callable[..., None], *args: Any, folder: Path, launcher: str | None = None) -> Ended:
    """Runs an action that fails, and waits until all its processes have ended.

    Args:
        action: A function of a module.
        *args: Of the action.
        folder: To run it in.
        launcher: `torchrun` or `slurm` for an action of each of two processes; as the real ones do, the other is ended
            when one ends. `None` for an action that starts processes itself.

    Raises:
        TimeoutError: If one of them still runs `TIMEOUT` seconds after the first of the test's own has ended.
    """
    stderr, written = FORKED.Pipe(duplex=False)  # it ends with the last process that holds it
    ranks: Sequence[int | None] = range(PROCESSES) if launcher else [None]
    arguments = [(written, rank, launcher, free_port(), folder, action, args) for rank in ranks[:1]]
    arguments += [(written, rank, *arguments[0][2:]) for rank in ranks[1:]]
    processes = [FORKED.Process(target=_process, args=each) for each in arguments]
    for process in processes:
        process.start()
    written.close()
    wait([process.sentinel for process in processes], 4 * TIMEOUT)
    for process in processes:
        process.terminate()
    lines, in_time = _read(stderr, TIMEOUT)
    for process in processes:
        process.kill()
        process.join()
    if not in_time:
        raise TimeoutError(lines)
    return Ended([process.exitcode for process in processes], lines)


def _read(stderr: Connection, seconds: float) -> tuple[str, bool]:
    """Returns what was written, and whether all that write have ended in time."""
    lines, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and select.select([stderr], [], [], left)[0]:
        if not (some := os.read(stderr.fileno(), 1 << 16)):
            return lines.decode(), True
        lines += some
    return lines.decode(), False


def _process(
    stderr: Connection,
    rank: int | None,
    launcher: str | None,
    port: int,
    folder: Path,
    action: Callable[..., None],
    args: tuple[Any, ...],
) -> None:
    os.dup2(stderr.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    stderr.close()
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if rank is None:
        os.chdir(folder)
    else:
        become(rank, port, folder, launcher or "torchrun")
    action(*args)
