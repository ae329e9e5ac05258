"""One training at a time in a run folder: a second one would overwrite the checkpoints of the first."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callbacks.files import remove_partial, shown
from scripts.run_folder import is_first_process

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
