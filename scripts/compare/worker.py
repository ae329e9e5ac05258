"""The processes of a comparison: each is forked off one that has imported everything, and has done nothing else.

Importing torch, Lightning and litzoo takes longer than a short training. A forked process begins as a new one does that
has just imported them: no seed, generator, environment variable, warning filter or number of threads is left of another
run, and one that crashes or is killed ends alone. What is read while importing cannot be changed in it: where such an
environment variable differs, a new Python is started.
"""

import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

LITZOO = [sys.executable, "-m", "litzoo"]
READ_ONCE = ("OMP_", "GOMP_", "KMP_", "MKL_", "TORCH", "PYTORCH", "PYTHON", "LD_", "MPL")
"""Beginnings of the environment variables that are read while importing. CUDA reads its own when it is first used."""
IMPORTED = [
    "litzoo.scripts.cli.main",
    "torch._dynamo",  # imported by the first step of an optimizer
    "torch.utils.tensorboard",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
]
# On macOS, what Apple's libraries have begun does not survive a fork: there each process imports by itself.
_processes: Any = get_context("spawn" if sys.platform == "darwin" else "forkserver")
_processes.set_forkserver_preload(IMPORTED)


def start(
    program: Sequence[str], words: Sequence[str], environment: Mapping[str, str], log: Path, kept: Sequence[int]
) -> BaseProcess:
    """Starts a `litzoo` command in a process and session of its own.

    Args:
        program: How a new Python runs the command, if it may not run in a forked process.
        words: Arguments of `litzoo`.
        environment: All environment variables.
        log: File that stdout and stderr are added to.
        kept: File descriptors that the process keeps open: locks that last as long as it runs.
    """
    ours, theirs = _processes.Pipe()
    process = _processes.Process(target=_run, args=(list(program), list(words), dict(environment), log, theirs))
    before = dict(os.environ)
    os.environ.update(environment)  # for the process that imports, which the first call starts
    try:
        process.start()
    finally:
        _replace_environment(before)
    ours.send(len(kept))
    for each in kept:
        send_handle(ours, each, process.pid)
    return process


def _run(program: list[str], words: list[str], environment: dict[str, str], log: Path, connection: Connection) -> None:
    os.setsid()  # Ctrl-C reaches only the comparison, which then stops its processes
    for _ in range(connection.recv()):
        os.set_inheritable(recv_handle(connection), True)
    with log.open("a", encoding="utf-8") as written, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        for stream in (1, 2):
            os.dup2(written.fileno(), stream)
    if program != LITZOO or _read_once(os.environ) != _read_once(environment):
        os.execve(program[0], [*program, *words], environment)
    _replace_environment(environment)
    sys.argv = ["litzoo", *words]
    sys.modules.pop("litzoo.__main__", None)  # from the installed script, which multiprocessing runs in each process
    runpy.run_module("litzoo", run_name="__main__", alter_sys=True)  # as `python -m litzoo` does


def _replace_environment(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _read_once(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_ONCE)}
