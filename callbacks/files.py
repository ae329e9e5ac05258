import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one step: a reader, or a run killed on the way, never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def write_csv(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Writes columns of equal length, under their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def run_folder_of(trainer: Trainer) -> Path:
    """Returns the folder of the run. It is a broadcast: every process has to ask."""
    return Path(trainer.log_dir or trainer.default_root_dir)


def shown(path: Path) -> str:
    """Returns a path as a user wants to read it: relative to the current folder if it lies within."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
