"""The folder of a run: made once for all its processes, locked while it trains, and removed if nothing was trained."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from lightning.pytorch.utilities import rank_zero_only

from litzoo.callbacks.files import display_path, read_json, remove_partial_files

LAUNCHER = "LITZOO_LAUNCHER"
"""Environment variable with the id of the process that has launched this one."""
PARENT = "LITZOO_ENDS_WITH"
"""Environment variable with the id of a parent process that this one has to end with; see `on_ray`."""
LOCK = ".lock"
EVENTS = "events.out.tfevents.*"
RUN_FOLDER = "LITZOO_RUN_FOLDER"
"""Environment variable with the run folder, for the processes that the first one starts."""
_created_parents: list[Path] = []  # by this process, the lowest first
_event_files: dict[Path, set[Path]] = {}  # run folder that is evaluated -> TensorBoard's files before
_claimed: dict[Path, FileLock] = {}  # locked, but not trained yet


def is_first_process() -> bool:
    """Whether this is the only process, or the first of several; known before Lightning has set them up."""
    return getattr(rank_zero_only, "rank", 0) == 0


def is_launched() -> bool:
    """Whether another process of this command has launched this one, and still runs; see `launch`."""
    return os.environ.get(LAUNCHER) == str(os.getppid())


def new_run_folder(base: Path, experiment: str) -> Path:
    """Creates and returns `<base>/<experiment>/version_<k>` for the next free k, safe against runs that start together.

    Of several processes only the launcher or the first one creates it. The others read its name from the environment;
    those that torchrun or SLURM has started guess it, until Lightning broadcasts that of the first process.

    Raises:
        OSError: If it cannot be created; the message names the option and the fix.
    """
    if RUN_FOLDER in os.environ and (is_launched() or not is_first_process()):
        return Path(os.environ[RUN_FOLDER])
    folder = (base / experiment).absolute()
    taken = [int(path.name[8:]) for path in folder.glob("version_*") if path.name[8:].isdecimal()]
    version = max(taken, default=-1) + 1
    if not is_first_process():
        return folder / f"version_{version}"
    _created_parents[:] = [each for each in (folder, *folder.parents) if not each.exists()]
    while True:
        run_folder = folder / f"version_{version}"
        try:
            run_folder.mkdir(parents=True)
        except OSError as error:
            if isinstance(error, FileExistsError) and error.filename == str(run_folder):
                version += 1  # another run was faster
                continue
            _remove_created_parents()
            raise OSError(
                f"--trainer.default_root_dir {base}: no run folder can be created there ({error.strerror}: "
                f"{error.filename}); make it writable, or name another folder"
            ) from error
        os.environ[RUN_FOLDER] = str(run_folder)
        return run_folder


def _remove_created_parents() -> None:
    for folder in _created_parents:
        with suppress(OSError):  # it holds other runs
            folder.rmdir()


def reset_run_folder() -> None:
    """Forgets the folder of an earlier run of this process."""
    if is_first_process() and not is_launched():
        os.environ.pop(RUN_FOLDER, None)


def remember_event_files(run_folder: Path) -> None:
    """Remembers TensorBoard's files in the folder of a finished run, before another one is opened there."""
    _event_files[run_folder] = set(run_folder.glob(EVENTS))


def discard_if_empty() -> None:
    """Removes what a command that failed has created: a run folder without a finished epoch, and empty event files."""
    for run_folder, before in _event_files.items():
        for path in set(run_folder.glob(EVENTS)) - before:
            if f".{os.getpid()}." in path.name and _has_no_event(path):
                path.unlink(missing_ok=True)
    _event_files.clear()
    folder = os.environ.get(RUN_FOLDER)
    if not folder or not is_first_process():
        return
    if not any(Path(folder).glob("checkpoints/*.ckpt")) and not read_record(Path(folder)).get("epochs"):
        shutil.rmtree(folder, ignore_errors=True)
        _remove_created_parents()


def _has_no_event(path: Path) -> bool:
    """Whether one of TensorBoard's files has nothing but its header."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return all(event.HasField("file_version") for event in EventFileLoader(str(path)).Load())


def read_record(folder: Path) -> dict[str, Any]:
    """Returns the content of a run's `run.json`, empty where there is none.

    One written before `parts` were counted has only the duration of the last part of a resumed run: then
    `training_seconds` is None.
    """
    record = read_json(folder / "run.json")
    resumed = "parts" not in record and "--ckpt_path" in record.get("command", "")
    return record | ({"training_seconds": None} if resumed else {})


def run_folder_of_checkpoint(checkpoint: Path) -> Path | None:
    """Returns the run folder that a checkpoint lies in, however deep (`{val/acc}` in a file name makes folders)."""
    for folder in checkpoint.absolute().parents:
        # A config alone is no run: users have a config.yaml in their project.
        is_run = (folder / "checkpoints").is_dir() or (folder / "run.json").is_file()
        if is_run and (folder / "config.yaml").is_file():
            return folder
    return None


def claim_run_folder(folder: Path) -> bool:
    """Locks a run folder for the `lock_run_folder` to come; returns whether no other training holds the lock."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except (OSError, NotImplementedError):
        pass  # the file system has no locks
    _claimed[folder.absolute()] = lock
    return True


def release_claims() -> None:
    """Unlocks the run folders that were claimed and are not trained."""
    for folder, lock in _claimed.items():
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
    _claimed.clear()


@contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Keeps other trainings out of a run folder, where they would overwrite checkpoints.

    Also removes the temporary files that a killed training left there. The first of several processes holds the lock,
    which ends with it, however that ends. A file system without locks is accepted.

    Raises:
        BlockingIOError: If another training holds the lock.
    """
    if not is_first_process():
        yield
        return
    if not (folder.absolute() in _claimed or claim_run_folder(folder)):
        raise BlockingIOError(
            f"--ckpt_path: {display_path(folder)} is being trained by another process; wait until it has ended, or end "
            "it, or leave --ckpt_path out for a new run"
        )
    lock = _claimed.pop(folder.absolute())
    try:
        remove_partial_files(folder)
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
