"""Comparisons that are ended from outside while their trainings run."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest


def end_by_signal(number: signal.Signals, main: Callable[[], None], words: list[str], trainings: int) -> int:
    """Runs a script that is sent a signal once so many trainings have begun, which have to end with it.

    Returns:
        Its exit status.
    """
    started: list[int] = []

    def look(_: float) -> None:
        path = Path("calls.jsonl")
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) == trainings:
            started.extend(json.loads(line)["pid"] for line in lines)
            os.kill(os.getpid(), number)
        time.sleep(0.02)

    with (
        handlers_put_back(),
        patch("litzoo.scripts.compare.queue.time", SimpleNamespace(sleep=look)),
        patch.object(sys, "argv", ["litzoo", "command", *words]),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert len(started) == trainings
    assert not any(map(_is_alive, started))
    return ended.value.code


@contextmanager
def handlers_put_back() -> Iterator[None]:
    """Begins with the usual answers to SIGTERM and SIGHUP, and leaves them as they were, such as under nohup."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
