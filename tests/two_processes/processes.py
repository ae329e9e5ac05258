"""Runs scenarios in two processes that know each other, as a cluster's launcher would start them.

Starting Python and Lightning takes longer than all scenarios together: they run one after the other in the same two
processes, and leave what they found for the tests to look at.
"""

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy

PROCESSES = 2


def in_two_processes(scenarios: Callable[..., dict[str, Any]], folder: Path, *args: Any) -> list[dict[str, Any]]:
    """Runs `scenarios(*args)`, a function of a module, in two processes in a folder; returns what each returned."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Fresh processes: a fork of one in which torch has used threads can hang.
    torch.multiprocessing.spawn(_process, (port, folder, scenarios, args), PROCESSES)
    return [torch.load(folder / f"found_{rank}.pt") for rank in range(PROCESSES)]


def two_processes() -> dict[str, Any]:
    """Returns the options of a trainer in such a process. One that waits in vain for the other fails in a minute."""
    strategy = DDPStrategy(process_group_backend="gloo", timeout=timedelta(minutes=1))
    return {"accelerator": "cpu", "devices": PROCESSES, "strategy": strategy}


def _process(rank: int, port: int, folder: Path, scenarios: Callable[..., dict[str, Any]], args: tuple[Any]) -> None:
    from lightning.pytorch.utilities import rank_zero_only

    rank_zero_only.rank = rank
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.chdir(folder)
    torch.set_num_threads(1)
    torch.save(scenarios(*args), folder / f"found_{rank}.pt")
