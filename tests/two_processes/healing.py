"""Trainings whose processes are killed at given moments, and started again by torchrun or as SLURM would."""

import atexit
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lightning.pytorch import Callback

from litzoo.scripts.compare.worker import LITZOO, start
from tests.scripts.helpers import MLP, QUIET, litzoo_anew
from tests.two_processes.processes import LAUNCHERS, PROCESSES, free_port

COMMAND = ["fit", *MLP, *QUIET, "--trainer.max_epochs=3", "--resume=auto"]
COMMAND += ["--trainer.callbacks+=tests.two_processes.healing.Killed"]
TIMEOUT = 400.0


class Killed(Callback):
    """Kills its own process by SIGKILL at some moments, each once for all processes and restarts.

    Args:
        moments: `<rank> <hook> <epoch> <n>` for the n-th call of a hook in an epoch, from 0; `<rank> start` before the
            processes know each other; `<rank> exit` when Python ends; `<rank> after <seconds>`. With `launcher ` before
            it, the process that has started this one gets SIGTERM instead.
    """

    def __init__(self, moments: list[str]) -> None:
        self.moments, self.calls = moments, dict[tuple[str, int], int]()
        self.rank = os.environ.get("RANK") or os.environ["SLURM_PROCID"]
        self._kill(f"{self.rank} start")
        atexit.register(self._kill, f"{self.rank} exit")
        for moment in moments:
            if moment.startswith(f"{self.rank} after"):
                threading.Timer(float(moment.split()[-1]), self._kill, [moment]).start()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_") and name != "teardown":
            return super().__getattribute__(name)
        return lambda trainer, *_, **__: self._called(name, trainer.current_epoch)

    def _called(self, hook: str, epoch: int) -> None:
        count = self.calls.get((hook, epoch), 0)
        self.calls[hook, epoch] = count + 1
        self._kill(f"{self.rank} {hook} {epoch} {count}")

    def _kill(self, moment: str) -> None:
        for each, process, number in (
            (moment, os.getpid(), signal.SIGKILL),
            (f"launcher {moment}", os.getppid(), signal.SIGTERM),
        ):
            mark = Path(f"killed {each}")
            if each in self.moments and not mark.exists():
                mark.touch()
                os.kill(process, number)


def train_with_torchrun(folder: Path, moments: list[str]) -> subprocess.CompletedProcess[str]:
    """Trains in two processes that torchrun starts, and starts again when one is killed; without `devices`."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={PROCESSES}"]
    words = [*torchrun, f"--max-restarts={len(moments)}", "-m", "litzoo", *_command(moments)]
    return subprocess.run(words, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=TIMEOUT)


def train_with_own_launcher(moments: list[str]) -> tuple[int | None, str]:
    """Runs the command once, which starts two processes itself; returns its status and what all have printed."""
    with patch.dict(os.environ, _environment(), clear=True):
        return litzoo_anew(*_command(moments), f"--trainer.devices={PROCESSES}")


def train_as_slurm_does(moments: list[str]) -> list[int | None]:
    """Runs a job of two processes, and returns their statuses; as with `--kill-on-bad-exit`, one ends the other."""
    names, port = LAUNCHERS["slurm"], {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = []
    for rank in map(str, range(PROCESSES)):
        job = dict.fromkeys(names["rank"], rank) | dict.fromkeys(names["size"], str(PROCESSES)) | names["more"]
        environment = _environment() | job | port | {"SLURM_STEP_ID": "0"}
        processes.append(start(LITZOO, _command(moments), environment, Path(f"log_{rank}.txt"), []))
    while running := [process for process in processes if process.is_alive()]:
        if any(process.exitcode for process in processes):
            for process in running:
                process.kill()
        running[0].join(0.1)
    return [process.exitcode for process in processes]


def _command(moments: list[str]) -> list[str]:
    return [*COMMAND, f"--trainer.callbacks.moments={list(moments)}"]


def _environment() -> dict[str, str]:
    others = ("LITZOO_", "SLURM_", "PL_", "TORCH_FORCE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**kept, "OMP_NUM_THREADS": "1"}
