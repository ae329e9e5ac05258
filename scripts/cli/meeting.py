"""What the processes of a run do until they know one another: none waits, for many minutes, for one that has died."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment

from litzoo.scripts.cli.lifeline import LOST, lost, say, start_thread

STARTED_BY = "LITZOO_STARTED_BY"
"""Where a process leaves its number for those that it starts."""
TOLD = (1, 2)
"""Exit statuses of a process that has told why it ends."""
LOOK_EVERY = 0.5
"""Seconds."""


def expect(trainer: Trainer) -> None:
    """Leaves word for the processes that this one is going to start."""
    if _is_local(trainer) and not trainer.local_rank:
        os.environ[STARTED_BY] = str(os.getpid())


@contextmanager
def meeting(trainer: Trainer, clean_up: Callable[[], None]) -> Iterator[None]:
    """Ends this process if one that it has started, or the one that it was started by, ends meanwhile.

    What `torchrun` or a cluster has started is looked after there.

    Args:
        trainer: Its strategy has started the other processes.
        clean_up: What to do before this process is ended.
    """
    strategy: Any = trainer.strategy
    children: list[subprocess.Popen] = list(strategy.launcher.procs)
    met, first = threading.Event(), threading.Lock()
    for place, child in enumerate(children, start=1):
        rank = trainer.node_rank * trainer.num_devices + place
        lines = lost(rank, trainer.world_size, "{}")
        start_thread(_mind_child, child, lines, strategy.launcher.procs, clean_up, met, first)
    if _is_local(trainer) and trainer.local_rank and (parent := os.environ.get(STARTED_BY)):
        lines = lost(trainer.node_rank * trainer.num_devices, trainer.world_size, LOST)
        start_thread(_mind_parent, int(parent), lines if trainer.local_rank == 1 else [], met)
    try:
        yield
    except BaseException:
        met.set()
        _end(children)  # before they find this one gone without a word
        raise
    finally:
        met.set()


def _mind_child(
    child: subprocess.Popen,
    lines: list[str],
    others: list[subprocess.Popen],
    clean_up: Callable[[], None],
    met: threading.Event,
    first: threading.Lock,
) -> None:
    status = child.wait()
    if met.is_set() or not first.acquire(blocking=False):
        return
    _end(others)
    others.clear()  # Lightning looks after these too, but would end this process by force
    clean_up()
    if status not in TOLD:
        by = -status if status < 0 else status - 128
        how = f"was ended by {Signals(by).name}" if by in set(Signals) else f"ended with status {status}"
        say([line.format(how) for line in lines])
    os._exit(1)


def _mind_parent(parent: int, lines: list[str], met: threading.Event) -> None:
    while os.getppid() == parent:
        if met.wait(LOOK_EVERY):
            return
    if not met.is_set():
        say(lines)
        os._exit(1)


def _end(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        process.kill()


def _is_local(trainer: Trainer) -> bool:
    return isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
