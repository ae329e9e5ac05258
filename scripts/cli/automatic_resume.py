"""`--resume auto`: finds the run that a repeated command goes on with, such as that of a requeued job."""

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from litzoo.callbacks.files import display_path, read_json, write_json
from litzoo.scripts.cli.changed_options import changes, join_first
from litzoo.scripts.cli.run_folder import claim_run_folder, read_record
from litzoo.scripts.cli.workers import launch_id, was_restarted

ELSEWHERE = ("data.root", "data.num_workers")
"""Options that may differ from machine to machine."""


def checkpoint_to_resume(base: Path, experiment: str, options: dict[str, Any]) -> str | None:
    """Returns the `last.ckpt` of the newest run that was not trained to its end, and locks the run.

    A run that another process trains, or that has another model, data or seed, is left alone. None if there is no
    run to resume.

    Args:
        base: Folder of all runs.
        experiment: Name of the experiment.
        options: All options of the command, as in a run's `config.yaml`.
    """
    for folder in _newest_first(base / experiment):
        last = folder / "checkpoints" / "last.ckpt"
        if not last.is_file() or is_finished(folder):
            continue
        name = display_path(folder.absolute())
        if differences := _differences(options, folder / "config.yaml"):
            rank_zero_warn(
                f"--resume auto: {name} was not trained to its end, but has other options, and is left alone "
                f"({join_first(differences)}); resume it with --ckpt_path {display_path(last.absolute())}"
            )
        elif not claim_run_folder(folder):
            rank_zero_warn(f"--resume auto: {name} is being trained by another process, and is left alone")
        else:
            rank_zero_info(f"--resume auto: resumes {name}")
            return str(last)
    rank_zero_info(f"--resume auto: no run in {base / experiment} is to be resumed; a new one begins")
    return None


def run_finished_before_restart(base: Path, experiment: str, options: dict[str, Any]) -> str | None:
    """Returns the folder of the run that these very processes have finished before torchrun or SLURM restarted them.

    A process may die at its very end, when nothing is left to do. Arguments as in `checkpoint_to_resume`.
    """
    if not was_restarted():
        return None
    for folder in _newest_first(base / experiment):
        record = read_record(folder)
        by_this_launch = record.get("finished") and record.get("launch") == launch_id()
        if by_this_launch and not _differences(options, folder / "config.yaml"):
            return display_path(folder.absolute())
    return None


def is_finished(folder: Path) -> bool:
    """Whether a run was trained to its end, and tested if that was asked for.

    Runs of litzoo 0.1 do not record it: they are finished if they have metrics.
    """
    return bool(read_record(folder).get("finished", (folder / "metrics.json").is_file()))


def mark_finished(folder: Path) -> None:
    """Records that a run was trained to its end, and tested if that was asked for, and which launch has done so."""
    if record := read_json(folder / "run.json"):
        write_json(folder / "run.json", record | {"finished": True, "launch": launch_id()})


def _newest_first(experiment: Path) -> list[Path]:
    folders = [path for path in experiment.glob("version_*") if path.name[8:].isdecimal()]
    return sorted(folders, key=lambda path: int(path.name[8:]), reverse=True)


def _differences(now: dict[str, Any], config: Path) -> list[str]:
    """Returns the options of model, data and seed that differ; for other options a resumed training warns."""
    try:
        before = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    parts = {name: {part: options.get(part) for part in ("model", "data")} for name, options in _both(now, before)}
    found = [each for each in changes(parts["now"], parts["before"]) if each.name not in ELSEWHERE]
    differences = [f"{name}: {value}, not {was}" for name, value, was in found]
    seed, was = now.get("seed_everything"), before.get("seed_everything")
    if seed is not True and seed != was:
        differences.append(f"seed_everything: {seed}, not {was}")
    return differences


def _both(now: dict[str, Any], before: Any) -> list[tuple[str, dict[str, Any]]]:
    return [("now", now), ("before", before if isinstance(before, dict) else {})]
