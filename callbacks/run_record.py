import os
import platform
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import lightning
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.files import run_folder_of, write_json


class RunRecord(Callback):
    """Writes `run.json`: with what command, seed, versions and hardware a training ran, when, and how long."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file, so that an interrupted run has one too."""
        self._write(trainer, trainer.current_epoch + 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file for the last time."""
        self._write(trainer, trainer.current_epoch)

    def _write(self, trainer: Trainer, epochs: int) -> None:
        path = run_folder_of(trainer) / "run.json"
        if not trainer.is_global_zero:
            return
        seed = os.environ.get("PL_GLOBAL_SEED")
        record = {
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "seed": None if seed is None else int(seed),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "training_seconds": round(time.perf_counter() - self._started, 1),
            "epochs": epochs,
            "hardware": hardware(trainer),
            "precision": str(trainer.precision),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": lightning.__version__,
        }
        write_json(path, record)


def hardware(trainer: Trainer) -> str:
    """Says on what a trainer runs, such as `1 × NVIDIA A100` or `AMD EPYC, 2 cores`."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} × {torch.cuda.get_device_name(device)}"
    processes = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    accelerator = "" if device.type == "cpu" else f" ({device.type})"
    return f"{_processor()}, {os.cpu_count()} cores{accelerator}{processes}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
