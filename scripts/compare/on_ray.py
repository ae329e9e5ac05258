"""Runs the trainings of a comparison as tasks of Ray, on this machine or on a cluster.

Ray chooses the machine of each run, gives it its CPUs and GPUs, and starts it again when the machine is lost; the run
then resumes from its last checkpoint. All machines need litzoo, and the folder of the comparison by the same path.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from litzoo.scripts.cli.run_folder import PARENT
from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.queue import locked, print_change, print_failure

RETRIES = 3
"""How often a run is started again after its machine was lost."""
POLL_SECONDS = 0.5
SECONDS_TO_ANSWER = 10.0
LITZOO = [sys.executable, "-m", "litzoo"]


def check_ray() -> None:
    """Checks that Ray is installed.

    Raises:
        ModuleNotFoundError: With the command that installs it.
    """
    if find_spec("ray") is None:
        raise ModuleNotFoundError("--launcher ray: needs ray; `pip install 'litzoo[ray]'`")


class RayQueue:
    """Trains and tests runs as tasks of Ray, as many in parallel as it has CPUs and GPUs for.

    It uses the cluster that `RAY_ADDRESS` names, or one that runs on this machine, or else starts one on this machine.

    Args:
        epoch: Checkpoint to test, `best` or `last`.
        cpus: CPU cores of each run, which has as many threads.
        gpus: GPUs of each run, also a fraction; None for one if there are any.
        on_finished: Called with each finished run; an exception that it raises stops all runs.
    """

    def __init__(self, epoch: str, cpus: int, gpus: float | None, on_finished: Callable[[ComparedRun], object]) -> None:
        check_ray()
        self.epoch, self.cpus, self.gpus, self.on_finished = epoch, cpus, gpus, on_finished
        self._console = Console()

    def train(self, runs: Sequence[ComparedRun], folder: Path) -> list[ComparedRun]:
        """See `Queue.train`; the tasks are cancelled however it ends.

        Raises:
            ValueError: If another process holds the lock, or no machine has what a run asks for.
        """
        ray = import_module("ray")
        with locked(folder):
            joined = ray.is_initialized()
            if not joined:
                _require_answer(os.environ.get("RAY_ADDRESS", ""))
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                ray.init(include_dashboard=False, log_to_driver=False, logging_level="WARNING")
            try:
                return self._train(ray, runs, folder)
            finally:
                if not joined:
                    ray.shutdown()

    def _train(self, ray: Any, runs: Sequence[ComparedRun], folder: Path) -> list[ComparedRun]:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = float(any(machine.get("GPU") for machine in machines)) if self.gpus is None else self.gpus
        if not any(machine.get("CPU", 0) >= self.cpus and machine.get("GPU", 0) >= gpus for machine in machines):
            has = "; ".join(f"{machine.get('CPU', 0):g} and {machine.get('GPU', 0):g}" for machine in machines)
            raise ValueError(
                f"--cpus {self.cpus} --gpus {gpus:g}: no machine of the cluster has as many CPUs and GPUs ({has})"
            )
        # A worker that ends with its task leaves neither memory nor a changed working folder to the next one.
        task = ray.remote(num_cpus=self.cpus, num_gpus=gpus, max_retries=RETRIES, max_calls=1)(_run_to_end)
        passed = passed_environment(self.cpus, gpus)
        running: dict[Any, ComparedRun] = {}
        failed: list[ComparedRun] = []
        for run in runs:
            if run.next_command(self.epoch) is None:
                self._finish(run, run.found)
            else:
                print_change(self._console, run)
                running[task.remote(run, self.epoch, str(Path.cwd()), str(folder), LITZOO, passed)] = run
        try:
            with self._console.status("") as status:
                while running:
                    status.update(f"{len(runs) - len(running)} of {len(runs)} runs are over")
                    for reference in ray.wait(list(running), timeout=POLL_SECONDS)[0]:
                        run = running.pop(reference)
                        try:
                            problem = ray.get(reference)
                        except ray.exceptions.RayError as error:
                            problem = str(error).strip().splitlines()[-1]
                        if problem:
                            failed.append(run)
                            print_failure(self._console, run, problem)
                        else:
                            self._finish(run, "done")
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
        return failed

    def _finish(self, run: ComparedRun, status: str) -> None:
        self._console.print(f"{run}: {status}", highlight=False)
        self.on_finished(run)


def _require_answer(address: str) -> None:
    """Checks that a cluster answers at an address; Ray itself would wait for minutes.

    Args:
        address: `host:port`, also with a protocol before it; any other is left to Ray.

    Raises:
        ConnectionError: If none does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise ConnectionError(
            f"RAY_ADDRESS {address}: no Ray cluster answers there ({error}); start one with `ray start --head`, or "
            "unset RAY_ADDRESS to use this machine"
        ) from error


def passed_environment(cpus: int, gpus: float) -> dict[str, str]:
    """Returns the environment variables that a run gets beside those of its machine.

    Ray sets `CUDA_VISIBLE_DEVICES` to the GPUs of a task. Whether it hides all from a task that asked for none depends
    on its version; here it does not see any.
    """
    passed = {name: value for name, value in os.environ.items() if name.startswith("LITZOO_")}
    passed["OMP_NUM_THREADS"] = str(cpus)
    return passed if gpus else passed | {"CUDA_VISIBLE_DEVICES": ""}


def _run_to_end(
    run: ComparedRun, epoch: str, working: str, folder: str, litzoo: list[str], passed: dict[str, str]
) -> str | None:
    """Trains and tests a run on the machine that Ray has chosen; returns what went wrong, if anything did."""
    if not (Path(working) / folder / ".lock").exists():
        return f"{os.uname().nodename} has no {Path(working) / folder}; all machines have to share it by the same path"
    os.chdir(working)
    # The command ends when this process does, also when Ray kills it with its machine.
    environment = {**os.environ, **passed, PARENT: str(os.getpid())}
    command = None
    while (following := run.next_command(epoch)) and following != command:
        command = following
        run.begin(command)
        with run.log.open("a", encoding="utf-8") as log:
            done = subprocess.run(
                [*litzoo, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        if done.returncode:
            return f"exit status {done.returncode}"
    return "it has ended without a result" if following else None
