"""One training at a time in a run folder: a second one would overwrite the checkpoints of the first."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from litzoo.callbacks.files import read_json, remove_partial, shown

SHARED = "LITZOO_RUN_FOLDER"
"""Where the first process leaves the folder's name for the processes that it starts."""
_made: list[Path] = []  # folders above the run's that were not there, the lowest first


def new_run_folder(base: Path, experiment: str) -> Path:
    """Makes and returns `<base>/<experiment>/version_<k>` for the next free k, safe against runs that start together.

    Under several processes only the first makes one. Those it started find its name in the environment; those that a
    launcher started guess it, and are told the truth when Lightning broadcasts the first one's.

    Raises:
        OSError: If none can be made there; the message names the option and the remedy.
    """
    if SHARED in os.environ and not is_first_process():
        return Path(os.environ[SHARED])
    folder = base / experiment
    taken = [int(path.name[8:]) for path in folder.glob("version_*") if path.name[8:].isdecimal()]
    version = max(taken, default=-1) + 1
    if not is_first_process():
        return (folder / f"version_{version}").absolute()
    _made[:] = [each for each in (folder.absolute(), *folder.absolute().parents) if not each.exists()]
    while True:
        candidate = (folder / f"version_{version}").absolute()
        try:
            candidate.mkdir(parents=True)
        except OSError as error:
            if isinstance(error, FileExistsError) and error.filename == str(candidate):
                version += 1  # another process was faster
                continue
            _remove_made()
            raise OSError(
                f"--trainer.default_root_dir {base}: no folder can be made there for the run ({error.strerror}: "
                f"{error.filename}); make it possible, or name another folder"
            ) from error
        os.environ[SHARED] = str(candidate)
        return candidate


def _remove_made() -> None:
    for folder in _made:
        with suppress(OSError):  # other runs are in it
            folder.rmdir()


def is_first_process() -> bool:
    """Says whether this is the only process, or the first of several, before Lightning has set them up."""
    return getattr(rank_zero_only, "rank", 0) == 0


def forget_run_folder() -> None:
    """Starts anew: the folder of an earlier run of this process is not this run's."""
    if is_first_process():
        os.environ.pop(SHARED, None)


def discard_if_empty() -> None:
    """Removes the folder that this process made for a run that failed before it had trained an epoch."""
    folder = os.environ.get(SHARED)
    if not folder or not is_first_process():
        return
    if not any(Path(folder).glob("checkpoints/*.ckpt")) and not read_record(Path(folder)).get("epochs"):
        shutil.rmtree(folder, ignore_errors=True)
        _remove_made()


def read_record(folder: Path) -> dict[str, Any]:
    """Returns what a run's `run.json` tells, or nothing where there is none.

    One written before `parts` were counted knows of a resumed run only how long the last part took: then
    `training_seconds` is None.
    """
    record = read_json(folder / "run.json")
    resumed = "parts" not in record and "--ckpt_path" in record.get("command", "")
    return record | ({"training_seconds": None} if resumed else {})


def run_folder_of_checkpoint(checkpoint: Path) -> Path | None:
    """Returns the run folder that a checkpoint lies in, if it lies in one."""
    folder = checkpoint.absolute().parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file() else None


_held: list[int] = []  # descriptors of locked folders


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps the trainings of other processes out of a run folder, and clears what a killed one has left half-written.

    Of several processes that train together, the first one does so. The lock is on the folder itself, so that no file
    is left behind, and ends with the process, however that ends. Where the file system knows no locks, there is none.

    Raises:
        BlockingIOError: If a training holds it.
    """
    if not is_first_process():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    _held.append(descriptor)
    try:
        _lock(descriptor, folder)
        remove_partial(folder)
        yield
    finally:
        _held.remove(descriptor)
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"--ckpt_path: {shown(folder)} is being trained by another process; wait until it has ended, or end it, or "
            "leave --ckpt_path out for a new run"
        ) from None
    except OSError:
        return


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


# Processes that load data are forks; they outlive a killed run by seconds, and would keep its folder locked.
os.register_at_fork(after_in_child=_let_go)
