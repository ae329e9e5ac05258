"""The record of how a training was run: command, hardware, versions, git revision, seed, duration."""

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
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.callbacks.files import run_folder_of, write_json
from litzoo.callbacks.reporting._kept_file import KeepsFileOfRefused
from litzoo.datamodules import BaseDataModule

_PACKAGES = ("litzoo", "torchvision", "torchmetrics", "lightning")
_GIT_TIMEOUT = 60.0
"""In seconds; git takes many on a loaded machine."""
_KEPT_OF_EARLIER_PARTS = ("command", "date", "git_revision", "hardware", "epochs")


class RunRecord(KeepsFileOfRefused):
    """Writes `run.json`: command, seed, split, versions, hardware, date and duration of a training.

    The record is part of the checkpoint. A resumed training adds its time to the seconds that led to the checkpoint,
    lists the earlier parts, and warns if its environment has changed.
    """

    def __init__(self) -> None:
        self._record: dict[str, Any] = {}
        self._earlier_seconds: float | None = None
        self._started = time.perf_counter()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the record; that of a checkpoint is restored later."""
        if stage == "fit":
            self._record = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock, and writes the file, so that a run killed in its first epoch has one too."""
        path = run_folder_of(trainer) / "run.json"  # every process has to ask for it
        if trainer.is_global_zero:
            self.keep(path)
            saved = self._record
            # A checkpoint without a record, resumed here, does not say how long its training took.
            self._earlier_seconds = saved.get("training_seconds") if saved or trainer.global_step else 0.0
            environment = _environment(trainer)
            _warn_of_changes(environment, saved)
            earlier = saved.get("earlier", [])
            if saved:
                earlier = [*earlier, {name: saved.get(name) for name in _KEPT_OF_EARLIER_PARTS}]
            self._record = {
                "command": command_line(),
                "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
                "training_seconds": self._earlier_seconds,
                "epochs": trainer.current_epoch,
                "primary_metric": getattr(pl_module, "primary_metric", "loss"),  # for comparisons and tables
                "split_fingerprint": _split_fingerprint(trainer),
                **environment,
                "finished": False,  # the command records it when the test is over, too
                "parts": len(earlier) + 1,
                "earlier": earlier,
            }
        self._started = time.perf_counter()
        self._write(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Updates the file, so that an interrupted run has one too."""
        self._write(trainer, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the final file."""
        self._write(trainer, trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Returns the record with the training time so far."""
        elapsed = time.perf_counter() - self._started
        seconds = None if self._earlier_seconds is None else round(self._earlier_seconds + elapsed, 1)
        return {**self._record, "training_seconds": seconds} if self._record else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the record of the training that led to the checkpoint."""
        self._record = dict(state_dict)

    def _write(self, trainer: Trainer, epochs: int) -> None:
        path = run_folder_of(trainer) / "run.json"
        if trainer.is_global_zero:
            self._record["epochs"] = epochs
            self._record["optimizer_steps"] = trainer.global_step
            write_json(path, self.state_dict())


def command_line() -> str:
    """Returns the command line of this process, quoted for a shell."""
    started_as = getattr(sys.modules["__main__"], "__spec__", None)
    program = [Path(sys.argv[0]).name]
    if started_as is not None:
        program = ["python", "-m", started_as.name.removesuffix(".__main__")]
    return shlex.join([*program, *sys.argv[1:]])


def hardware(trainer: Trainer) -> str:
    """Describes the hardware a trainer runs on, such as `1 × NVIDIA A100` or `AMD EPYC, 2 cores`."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} × {torch.cuda.get_device_name(device)}"
    processes = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    accelerator = "" if device.type == "cpu" else f" ({device.type})"
    return f"{_processor()}, {os.cpu_count()} cores{accelerator}{processes}"


def git_revision(folder: Path) -> str | None:
    """Returns the git revision of a folder, with `-dirty` if files were changed; None if it is no git work tree."""
    repository = folder / ".git"
    if not repository.exists():  # an installed package, perhaps within the work tree of another project
        return None
    options = ["-C", str(folder), f"--git-dir={repository}", f"--work-tree={folder}"]
    command = ["git", *options, "--no-optional-locks", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_TIMEOUT)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _environment(trainer: Trainer) -> dict[str, Any]:
    """Returns what may influence a training besides its options; `None` for unknown values."""
    seed = os.environ.get("PL_GLOBAL_SEED")
    return {
        "seed": None if seed is None else int(seed),
        "hardware": hardware(trainer),
        "processes": trainer.world_size,
        "nodes": trainer.num_nodes,
        "precision": str(trainer.precision),
        "git_revision": git_revision(Path(__file__).parents[2]),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a `TorchVersion`, which `weights_only` loading rejects
        **{package: _version(package) for package in _PACKAGES},
    }


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


def _split_fingerprint(trainer: Trainer) -> str | None:
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    return datamodule.split_report().get("fingerprint") if isinstance(datamodule, BaseDataModule) else None


def _warn_of_changes(current: dict[str, Any], saved: dict[str, Any]) -> None:
    def text(value: Any) -> str:
        return "unknown" if value is None else str(value)

    changed = [name for name in current if name in saved and current[name] != saved[name]]
    if changed:
        changes = [f"{name} {text(current[name])}, was {text(saved[name])}" for name in changed]
        rank_zero_warn(f"The training is resumed in a different environment: {'; '.join(changes)}")
