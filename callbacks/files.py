"""Atomic writes of JSON, CSV and other files into the run folder."""

import csv
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn

PARTIAL_SUFFIX = ".partial"
"""Ends the names of files that are still being written."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, and renames it to `path` at the end.

    A reader, or a run that is killed, never sees an incomplete file. If writing fails, the temporary file is removed
    and the previous file stays.

    Raises:
        OSError: If the file cannot be written; the message names the file and the fix.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise type(error)(_write_error_message(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Removes the temporary files that killed processes left in a folder and its subfolders."""
    for path in folder.rglob(f".*{PARTIAL_SUFFIX}"):
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Returns the JSON object in a file; an empty one if the file is absent, or damaged (with a warning)."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        content = error
    if not isinstance(content, dict):
        rank_zero_warn(f"{display_path(path)} is damaged: its content is ignored")
        return {}
    return content


def write_csv(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Writes columns of equal length, name -> values, atomically; bytes that are not UTF-8 are escaped."""
    with (
        atomic_write(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def run_folder_of(trainer: Trainer) -> Path:
    """Returns the run folder. This is a broadcast: every process has to call it."""
    return Path(trainer.log_dir or trainer.default_root_dir)


def display_path(path: Path) -> str:
    """Returns a path for messages: relative to the current folder if it lies within, otherwise unchanged."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _write_error_message(path: Path, error: OSError) -> str:
    previous = "the previous file is unchanged" if path.exists() else "no file is left"
    full = error.errno in _DISK_FULL
    return (
        f"{display_path(path)}: cannot be written, {error.strerror or error}; {previous}. "
        + ("Free some space there" if full else "Remove the cause, or choose another --trainer.default_root_dir")
        + ", and repeat the command; resume an interrupted training with `--ckpt_path last`"
    )
