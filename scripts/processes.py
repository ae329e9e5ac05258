"""Processes that train beside each other."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import torch

PATIENCE = 20.0
"""Seconds that a process has to end once it is told to."""


def share_of_machine(place: int, jobs: int) -> dict[str, str]:
    """Returns the environment of the processes of one place: an equal share of cores and GPUs for each of the jobs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    share = {"OMP_NUM_THREADS": str(max(1, (int(given) if given.isdigit() else cores) // jobs))}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    if jobs > 1 and torch.cuda.is_available():
        gpus = visible.split(",")
        share["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[place::jobs] or [gpus[place % len(gpus)]])
    return {**os.environ, **share}


def end_as_ctrl_c() -> None:
    """Has a request to end raise KeyboardInterrupt, so that processes that were started are not left behind."""

    def interrupt(number: int, frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, interrupt)


def stop(processes: Sequence[subprocess.Popen]) -> None:
    """Ends processes and all that they have started, by force where asking does not help."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
