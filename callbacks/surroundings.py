"""What a training runs on and with: hardware, versions, revision of the code, seed."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

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
        "git_revision": git_revision(Path(__file__).parents[1]),
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
