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

PARTIAL = ".partial"
"""Ends the names of files that are not whole yet."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """Yields a place beside a file's own to write it to, and moves it from there in one step.

    A reader, or a run killed on the way, never sees half a file; of a write that fails nothing is left, and what was
    there before stays.

    Raises:
        OSError: If it cannot be written; the message names the file and the remedy.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise type(error)(_explained(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Removes what processes that were killed have left of files that they were writing, in a folder and below."""
    for path in folder.rglob(f".*{PARTIAL}"):
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one step."""
    with in_one_step(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a file of a run; nothing where there is no file, or a damaged one, which is told."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        content = error
    if not isinstance(content, dict):
        rank_zero_warn(f"{shown(path)} is damaged: what it held is passed over")
        return {}
    return content


def write_csv(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Writes columns of equal length, under their names, in one step; names of files may be any bytes."""
    with (
        in_one_step(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def run_folder_of(trainer: Trainer) -> Path:
    """Returns the folder of the run. It is a broadcast: every process has to ask."""
    return Path(trainer.log_dir or trainer.default_root_dir)


def shown(path: Path) -> str:
    """Returns a path as a user wants to read it: relative to the current folder if it lies within."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _explained(path: Path, error: OSError) -> str:
    before = "what was there before is untouched" if path.exists() else "nothing is left of it"
    full = error.errno in NO_SPACE
    return (
        f"{shown(path)}: cannot be written, {error.strerror or error}; {before}. "
        + ("Free some space there" if full else "Remove the cause, or choose another --trainer.default_root_dir")
        + ", and repeat the command; a training that this has ended goes on with `--ckpt_path last`"
    )
