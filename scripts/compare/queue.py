"""Runs the trainings of a comparison as processes of their own, several at a time."""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from litzoo.scripts.compare.compared_run import ComparedRun

PATIENCE = 20.0
"""Seconds that a process has to end once it is told to."""


def part_of_machine(place: int, jobs: int) -> dict[str, str]:
    """Returns the environment of the processes of one place: an equal fraction of cores and GPUs for each of the jobs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    fraction = {"OMP_NUM_THREADS": str(max(1, (int(given) if given.isdigit() else cores) // jobs))}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    if jobs > 1 and torch.cuda.is_available():
        gpus = visible.split(",")
        fraction["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[place::jobs] or [gpus[place % len(gpus)]])
    return {**os.environ, **fraction}


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


LITZOO = [sys.executable, "-m", "litzoo"]
LAST_LINES = 10
LOOK_EVERY = 0.5
"""Seconds."""


@dataclass
class Work:
    """What one process does, and the bar that shows it."""

    run: ComparedRun
    command: list[str]
    process: subprocess.Popen
    bar: TaskID


class Queue:
    """Brings runs to their end, as many at a time as there are places.

    Args:
        epoch: `best` or `last`: whose test is wanted.
        jobs: Number of places. They share the cores, and the GPUs, in equal parts.
        finished: Is told of each finished run; what it raises ends all.
    """

    def __init__(self, epoch: str, jobs: int, finished: Callable[[ComparedRun], object]) -> None:
        self.epoch, self.finished = epoch, finished
        self._environments = [part_of_machine(place, jobs) for place in range(jobs)]
        self._failed: list[ComparedRun] = []
        self._held: list[int] = []
        self._console = Console()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=self._console)

    def train(self, runs: Sequence[ComparedRun], folder: Path) -> list[ComparedRun]:
        """Trains and tests what is not done yet; whatever ends this ends its processes.

        Args:
            runs: In their order.
            folder: That all of them are in, where nobody else trains meanwhile.

        Returns:
            The runs that failed.

        Raises:
            ValueError: If somebody does.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"{folder}: another process, or one that it left, trains there") from None
            self._held = [lock.fileno()]
            try:
                return self._train(runs)
            except KeyboardInterrupt:
                print("Stopped. The same command goes on from here.", file=sys.stderr)
                raise

    def _train(self, runs: Sequence[ComparedRun]) -> list[ComparedRun]:
        waiting = list(runs)
        works: dict[int, Work] = {}
        with self._bars:
            total = self._bars.add_task("runs", total=len(runs))
            try:
                while waiting or works:
                    for place in range(len(self._environments)):
                        work = works.get(place)
                        if work and work.process.poll() is None:
                            self._show(work)
                        elif work and (following := self._after(work)):
                            works[place] = self._start(work.run, following, place, work.bar)
                        else:
                            works.pop(place, None)
                            self._begin_next(waiting, works, place)
                    self._bars.update(total, completed=len(runs) - len(waiting) - len(works))
                    if works:
                        time.sleep(LOOK_EVERY)
            finally:
                stop([work.process for work in works.values()])
        return self._failed

    def _begin_next(self, waiting: list[ComparedRun], works: dict[int, Work], place: int) -> None:
        if not waiting:
            return
        run = waiting.pop(0)
        if command := run.next_command(self.epoch):
            works[place] = self._start(run, command, place, self._bars.add_task(str(run), total=None))
        else:
            self._tell(run, "is there already")

    def _start(self, run: ComparedRun, command: list[str], place: int, bar: TaskID) -> Work:
        run.place.mkdir(parents=True, exist_ok=True)
        run.note_start()
        goes_on = command[0] != "fit" or "--ckpt_path" in command
        with run.log.open("a" if goes_on else "w", encoding="utf-8") as log:
            print("$ litzoo", shlex.join(command), file=log, flush=True)
            process = subprocess.Popen(
                [*LITZOO, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environments[place],
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others
                pass_fds=self._held,  # so that a run left behind by a killed comparison holds the lock too
            )
        return Work(run, command, process, bar)

    def _after(self, work: Work) -> list[str] | None:
        """Returns what is to be done after a process has ended; nothing where the run is finished or has failed."""
        status = work.process.returncode
        following = None if status else work.run.next_command(self.epoch)
        if following and following != work.command:
            return following
        self._bars.remove_task(work.bar)
        if status == 0 and following is None:
            self._tell(work.run, "done")
            return None
        self._failed.append(work.run)
        self._console.print(f"{work.run}: failed (exit status {status}); the end of {work.run.log}:", style="red")
        self._console.print(*last_lines(work.run), sep="\n", markup=False, highlight=False)
        return None

    def _tell(self, run: ComparedRun, how: str) -> None:
        self._console.print(f"{run}: {how}", highlight=False)
        self.finished(run)

    def _show(self, work: Work) -> None:
        done, total = work.run.progress() if work.command[0] == "fit" else (None, None)
        doing = "epochs" if work.command[0] == "fit" else "test"
        self._bars.update(work.bar, description=f"{work.run}, {doing}", completed=done, total=total)


def last_lines(run: ComparedRun) -> list[str]:
    """Returns the end of a run's log: from its error on, if it tells one."""
    lines = [line.rstrip() for line in run.log.read_text(encoding="utf-8", errors="replace").splitlines()]
    lines = [line for line in lines if line]
    told = [number for number, line in enumerate(lines) if line.startswith("litzoo: error:")]
    return lines[told[-1] :] if told else lines[-LAST_LINES:]
