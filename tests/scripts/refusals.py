"""What every refusal of the command promises, checked in one place."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from litzoo.scripts.cli.main import main
from tests.counted import count
from tests.scripts.helpers import lines_of_error

Refused = Callable[[Sequence[str], Sequence[str]], str]
"""Runs a command that has to be refused in words that it is given; returns the message."""


def check_refusal(
    arguments: Sequence[str],
    words: Sequence[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Runs a command that has to be refused, and returns its message.

    It has to end with code 1 and without a traceback, in at most ten lines of bounded length that name what is wrong,
    and leave every file and folder as it was.

    Args:
        arguments: The command line.
        words: What the message has to name: the input, what it takes, the remedy.
        capsys: Of the test.
        monkeypatch: Of the test.
    """
    before = tree(Path.cwd())
    lines = lines_of_error(main, list(arguments), capsys, monkeypatch)
    message = "\n".join(lines)
    assert len(lines) <= 10, message
    assert max(map(len, lines)) <= 430, message
    assert [word for word in words if word not in message] == [], message
    assert " ()" not in message, message  # a cause that says nothing
    assert tree(Path.cwd()) == before
    count("inputs refused")
    return message


def tree(folder: Path) -> dict[str, object]:
    """Returns what is below a folder: name -> what it is, a file's bytes, or where a link leads."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        content: object = path.stat(follow_symlinks=False).st_mode
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[path.relative_to(folder).as_posix()] = content
    return found
