"""Runs the trainings of a comparison in processes of their own, several in parallel."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.worker import LITZOO, start

POLL_SECONDS = 0.1
STOP_SECONDS = 20.0
"""Time that a process has to exit after SIGTERM, before it is killed."""


@dataclass
class _Job:
    """A running process, and its progress bar."""

    run: ComparedRun
    command: list[str]
    process: BaseProcess
    bar: TaskID


class Queue:
    """Trains and tests runs, `jobs` of them in parallel.

    Args:
        epoch: Checkpoint to test, `best` or `last`.
        jobs: Number of parallel runs; each gets an equal part of the CPU cores and GPUs.
        on_finished: Called with each finished run; an exception that it raises stops all runs.
    """

    def __init__(self, epoch: str, jobs: int, on_finished: Callable[[ComparedRun], object]) -> None:
        self.epoch, self.on_finished = epoch, on_finished
        self._environments = [slot_environment(slot, jobs) for slot in range(jobs)]
        self._failed: list[ComparedRun] = []
        self._locks: list[int] = []
        self._console = Console()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=self._console)

    def train(self, runs: Sequence[ComparedRun], folder: Path, kept: Sequence[int] = ()) -> list[ComparedRun]:
        """Trains and tests the runs that are not finished; its processes are stopped however it ends.

        Args:
            runs: The runs, in the order in which they start.
            folder: Folder that all of them are in; it is locked against other processes meanwhile.
            kept: File descriptors of further locks that its processes keep.

        Returns:
            The runs that failed.

        Raises:
            ValueError: If another process holds the lock.
        """
        with locked(folder) as lock:
            self._locks = [lock, *kept]  # a run that outlives a killed comparison keeps them
            return self._train(runs)

    def _train(self, runs: Sequence[ComparedRun]) -> list[ComparedRun]:
        waiting = list(runs)
        jobs: dict[int, _Job] = {}
        with self._bars:
            total = self._bars.add_task("runs", total=len(runs))
            try:
                while waiting or jobs:
                    for slot in range(len(self._environments)):
                        job = jobs.get(slot)
                        if job and job.process.exitcode is None:
                            self._show_progress(job)
                        elif job and (command := self._next_command(job)):
                            jobs[slot] = self._start(job.run, command, slot, job.bar)
                        else:
                            jobs.pop(slot, None)
                            self._start_next(waiting, jobs, slot)
                    self._bars.update(total, completed=len(runs) - len(waiting) - len(jobs))
                    if jobs:
                        time.sleep(POLL_SECONDS)
            finally:
                _stop([job.process for job in jobs.values()])
        return self._failed

    def _start_next(self, waiting: list[ComparedRun], jobs: dict[int, _Job], slot: int) -> None:
        if not waiting:
            return
        run = waiting.pop(0)
        if command := run.next_command(self.epoch):
            print_change(self._console, run)
            jobs[slot] = self._start(run, command, slot, self._bars.add_task(str(run), total=None))
        else:
            self._finish(run, run.found)

    def _start(self, run: ComparedRun, command: list[str], slot: int, bar: TaskID) -> _Job:
        run.begin(command)
        return _Job(run, command, start(LITZOO, command, self._environments[slot], run.log, self._locks), bar)

    def _next_command(self, job: _Job) -> list[str] | None:
        """Returns the command that follows an exited process; None if its run has finished or failed."""
        status = job.process.exitcode
        command = None if status else job.run.next_command(self.epoch)
        if command and command != job.command:
            return command
        self._bars.remove_task(job.bar)
        if status == 0 and command is None:
            self._finish(job.run, "done")
            return None
        self._failed.append(job.run)
        print_failure(self._console, job.run, f"exit status {status}")
        return None

    def _finish(self, run: ComparedRun, status: str) -> None:
        self._console.print(f"{run}: {status}", highlight=False)
        self.on_finished(run)

    def _show_progress(self, job: _Job) -> None:
        done, total = job.run.progress() if job.command[0] == "fit" else (None, None)
        unit = "epochs" if job.command[0] == "fit" else "test"
        self._bars.update(job.bar, description=f"{job.run}, {unit}", completed=done, total=total)


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Locks the folder of a comparison, and says how to go on when it is stopped; gives the lock's file descriptor.

    Raises:
        ValueError: If another process holds the lock.
    """
    with _lock_of(folder, fcntl.LOCK_EX) as lock:
        try:
            yield lock
        except KeyboardInterrupt:
            print("Stopped. Run the same command again to resume.", file=sys.stderr)
            raise


def shared(folder: Path) -> AbstractContextManager[int]:
    """Locks the folder of a comparison against `locked`, but not against others that share it.

    Raises:
        ValueError: If another process has it `locked`.
    """
    return _lock_of(folder, fcntl.LOCK_SH)


@contextmanager
def _lock_of(folder: Path, kind: int) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:  # a shared lock on NFS needs a file that is open for reading, an exclusive one for writing
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another comparison, or a training that it started, still runs") from None
        yield lock.fileno()


def print_change(console: Console, run: ComparedRun) -> None:
    """Prints what has changed, if a run is trained again for that."""
    if changed := run.changed():
        console.print(f"{run}: {changed}; it is trained again", markup=False, highlight=False, soft_wrap=True)


def print_failure(console: Console, run: ComparedRun, reason: str) -> None:
    """Prints that a run has failed, and why."""
    console.print(f"{run}: failed ({reason}); the end of {run.log}:", style="red")
    console.print(*run.error_lines(), sep="\n", markup=False, highlight=False)


def slot_environment(slot: int, jobs: int) -> dict[str, str]:
    """Returns the environment variables of the processes in one of `jobs` slots: its part of the CPU cores and GPUs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    changed = {"OMP_NUM_THREADS": str(max(1, (int(threads) if threads.isdigit() else cores) // jobs))}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    if jobs > 1 and torch.cuda.is_available():
        gpus = visible.split(",")
        changed["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[slot::jobs] or [gpus[slot % len(gpus)]])
    return {**os.environ, **changed}


def interrupt_on_termination() -> None:
    """Makes SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, so that no subprocess is left behind."""

    def interrupt(number: int, frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, interrupt)


def _stop(processes: Sequence[BaseProcess]) -> None:
    """Terminates processes and their children; kills those that do not exit in time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            for send in (os.killpg, os.kill):  # one that has only just started is in no group of its own yet
                with suppress(ProcessLookupError):
                    send(process.pid or 0, number)
                    break
        for process in processes:
            process.join(STOP_SECONDS)
