import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

SHARED = "LITZOO_RUN_FOLDER"
"""Where the first process leaves the folder's name for the processes that it starts."""


def new_run_folder(base: Path, experiment: str) -> Path:
    """Makes and returns `<base>/<experiment>/version_<k>` for the next free k, safe against runs that start together.

    Under several processes only the first makes one. Those it started find its name in the environment; those that a
    launcher started guess it, and are told the truth when Lightning broadcasts the first one's.
    """
    if SHARED in os.environ and not is_first_process():
        return Path(os.environ[SHARED])
    folder = base / experiment
    taken = [int(path.name[8:]) for path in folder.glob("version_*") if path.name[8:].isdigit()]
    version = max(taken, default=-1) + 1
    while True:
        candidate = (folder / f"version_{version}").absolute()
        if not is_first_process():
            return candidate
        try:
            candidate.mkdir(parents=True)
        except FileExistsError:
            version += 1
        else:
            os.environ[SHARED] = str(candidate)
            return candidate


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
        with suppress(OSError):  # other runs of the experiment
            Path(folder).parent.rmdir()


def read_record(folder: Path) -> dict[str, Any]:
    """Returns what a run's `run.json` tells, or nothing where there is none.

    One written before `parts` were counted knows of a resumed run only how long the last part took: then
    `training_seconds` is None.
    """
    path = folder / "run.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    resumed = "parts" not in record and "--ckpt_path" in record.get("command", "")
    return record | ({"training_seconds": None} if resumed else {})


def run_folder_of_checkpoint(checkpoint: Path) -> Path | None:
    """Returns the run folder that a checkpoint lies in, if it lies in one."""
    folder = checkpoint.absolute().parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file() else None
