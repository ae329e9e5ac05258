"""Folders that cannot be written into, and disks that are full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Makes a folder that nobody can write into, root neither; the test is skipped where that cannot be done."""
    if os.geteuid() == 0:
        with _mounted(folder, "ro"):
            yield folder
        return
    folder.mkdir()
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)


@contextmanager
def full_disk(folder: Path, room: int) -> Iterator[Path]:
    """Makes a folder on a disk of so many bytes of its own; the test is skipped where that cannot be done."""
    with _mounted(folder, f"size={room}"):
        yield folder


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
