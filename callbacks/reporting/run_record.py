"""What a training runs on and with: hardware, versions, revision of the code, seed."""

import os
import platform
import shlex
import subprocess
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.callbacks.files import run_folder_of, write_json
from litzoo.callbacks.reporting.split_summary import ReportsSplit

PACKAGES = ("litzoo", "torchvision", "torchmetrics", "lightning")
GIT_PATIENCE = 5.0
"""Seconds that git has to tell the revision."""


def surroundings(trainer: Trainer) -> dict[str, Any]:
    """Returns what may change a training beside its options; `None` for what cannot be told."""
    seed = os.environ.get("PL_GLOBAL_SEED")
    return {
        "seed": None if seed is None else int(seed),
        "hardware": hardware(trainer),
        "processes": trainer.world_size,
        "nodes": trainer.num_nodes,
        "precision": str(trainer.precision),
        "git_revision": git_revision(Path(__file__).parents[2]),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a class of its own, which no checkpoint may hold
        **{package: _version(package) for package in PACKAGES},
    }


def hardware(trainer: Trainer) -> str:
    """Says on what a trainer runs, such as `1 × NVIDIA A100` or `AMD EPYC, 2 cores`."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} × {torch.cuda.get_device_name(device)}"
    processes = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    accelerator = "" if device.type == "cpu" else f" ({device.type})"
    return f"{_processor()}, {os.cpu_count()} cores{accelerator}{processes}"


def git_revision(folder: Path) -> str | None:
    """Returns the revision of a folder, with `-dirty` where its files are others; nothing if it is no work tree."""
    repository = folder / ".git"
    if not repository.exists():  # installed, perhaps within the work tree of another project
        return None
    place = ["-C", str(folder), f"--git-dir={repository}", f"--work-tree={folder}"]
    command = ["git", *place, "--no-optional-locks", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


KEPT = ("command", "date", "git_revision", "hardware", "epochs")
"""What is told of the earlier parts of a resumed run."""


class RunRecord(Callback):
    """Writes `run.json`: with what command, seed, data, versions and hardware a training runs, since when, how long.

    Checkpoints keep it. A resumed training counts on from the seconds that led to its checkpoint, lists the earlier
    parts, and warns where it does not run as the last one did.
    """

    def __init__(self) -> None:
        self._record: dict[str, Any] = {}
        self._before: float | None = None  # seconds of the earlier parts
        self._started = time.perf_counter()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begins anew: a checkpoint is restored later."""
        if stage == "fit":
            self._record = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock, and writes the file, so that a run that is killed at once has one too."""
        if trainer.is_global_zero:
            saved = self._record
            # A checkpoint from before it kept the seconds does not say how many there were.
            self._before = saved.get("training_seconds") if saved or trainer.global_step else 0.0
            now = surroundings(trainer)
            _warn_of_changes(now, saved)
            earlier = [*saved.get("earlier", []), {name: saved.get(name) for name in KEPT}] if saved else []
            self._record = {
                "command": command(),
                "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
                "training_seconds": self._before,
                "epochs": trainer.current_epoch,
                "split_fingerprint": _split_fingerprint(trainer),
                **now,
                "parts": len(earlier) + 1,
                "earlier": earlier,
            }
        self._started = time.perf_counter()
        self._write(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file, so that an interrupted run has one too."""
        self._write(trainer, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file for the last time."""
        self._write(trainer, trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Returns the record as it is at this moment."""
        taken = time.perf_counter() - self._started
        seconds = None if self._before is None else round(self._before + taken, 1)
        return {**self._record, "training_seconds": seconds} if self._record else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores that of the training that led to the checkpoint."""
        self._record = dict(state_dict)

    def _write(self, trainer: Trainer, epochs: int) -> None:
        path = run_folder_of(trainer) / "run.json"
        if trainer.is_global_zero:
            self._record["epochs"] = epochs
            write_json(path, self.state_dict())


def command() -> str:
    """Returns the command line of this process, as it can be given again."""
    started_as = getattr(sys.modules["__main__"], "__spec__", None)
    program = [Path(sys.argv[0]).name] if started_as is None else ["python", "-m", started_as.name]
    return shlex.join([*program, *sys.argv[1:]])


def _split_fingerprint(trainer: Trainer) -> str | None:
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    return datamodule.split_report().get("fingerprint") if isinstance(datamodule, ReportsSplit) else None


def _warn_of_changes(now: dict[str, Any], saved: dict[str, Any]) -> None:
    changed = [name for name in now if name in saved and now[name] != saved[name]]
    if changed:
        told = [f"{name} {_words(now[name])}, was {_words(saved[name])}" for name in changed]
        rank_zero_warn(f"The training is resumed in other surroundings: {'; '.join(told)}")


def _words(value: Any) -> str:
    return "unknown" if value is None else str(value)
