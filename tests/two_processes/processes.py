"""Runs scenarios in two processes that know each other, as a cluster's launcher would start them.

Starting Python and Lightning takes longer than all scenarios together. They run one after the other in the same two
processes, and leave what they found for the tests to look at; those that end their processes are given fresh ones.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only

PROCESSES = 2
LAUNCHERS: dict[str, dict[str, Any]] = {
    "torchrun": {
        "rank": ["RANK", "LOCAL_RANK"],
        "size": ["WORLD_SIZE", "LOCAL_WORLD_SIZE"],
        "more": {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "none"},
    },
    "slurm": {
        "rank": ["SLURM_PROCID", "SLURM_LOCALID"],
        "size": ["SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"],
        "more": {"SLURM_NODEID": "0", "SLURM_NNODES": "1", "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "test"},
    },
}
"""What tells a process its number, what the number of processes, and what else there is."""
# Processes are forked off one that has imported everything and done nothing: a fork of one in which torch has used
# threads can hang.
FORKED = torch.multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["litzoo", "tests.two_processes.scenarios"])


def in_two_processes(scenarios: Callable[[], dict[Any, Any]], folder: Path) -> None:
    """Runs scenarios, a function of a module, in two processes in a folder; each leaves what it returns there."""
    torch.multiprocessing.start_processes(
        _process, (free_port(), folder, scenarios), PROCESSES, start_method="forkserver"
    )


def two_processes() -> dict[str, Any]:
    """Returns the options of a trainer in such a process. One that waits in vain for the other fails in a minute."""
    strategy = DDPStrategy(process_group_backend="gloo", timeout=timedelta(minutes=1))
    return {"accelerator": "cpu", "devices": PROCESSES, "strategy": strategy}


@contextmanager
def collectives() -> Iterator[list[str]]:
    """Yields a list to which the name of every collective operation of this process is added."""
    called: list[str] = []
    names = (
        "all_reduce",
        "all_gather",
        "all_gather_into_tensor",
        "all_gather_object",
        "barrier",
        "broadcast",
        "reduce",
    )

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def note(*arguments: Any, **options: Any) -> Any:
            called.append(name)
            return function(*arguments, **options)

        return note

    with ExitStack() as patches:
        for name in names:
            function = noting(name, getattr(torch.distributed, name))
            patches.enter_context(patch.object(torch.distributed, name, function))
        yield called


def free_port() -> int:
    """Returns the number of a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def become(rank: int, port: int, folder: Path, launcher: str = "torchrun") -> None:
    """Makes this process one of the two, with the environment that `torchrun` or `slurm` gives it."""
    rank_zero_only.rank = rank
    names = LAUNCHERS[launcher]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.pop("PL_GLOBAL_SEED", None)  # of whatever test had the first of all processes forked
    os.environ |= dict.fromkeys(names["rank"], str(rank)) | dict.fromkeys(names["size"], str(PROCESSES)) | names["more"]
    os.chdir(folder)
    torch.set_num_threads(1)


def _process(rank: int, port: int, folder: Path, scenarios: Callable[[], dict[Any, Any]]) -> None:
    become(rank, port, folder)
    torch.save(scenarios(), folder / f"found_{rank}.pt")
