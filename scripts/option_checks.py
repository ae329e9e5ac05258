"""Whether options can be at all: what Lightning would take without a word, or refuse late and by other names."""

import os
import re

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins.environments import LightningEnvironment

from scripts.command_words import abridged, is_text

LEAST = {
    "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1,
    "fast_dev_run": 0,
    "gradient_clip_val": 0,
    "limit_predict_batches": 0,
    "limit_test_batches": 0,
    "limit_train_batches": 0,
    "limit_val_batches": 0,
    "log_every_n_steps": 0,
    "max_epochs": -1,
    "max_steps": -1,
    "min_epochs": 0,
    "min_steps": 0,
    "num_nodes": 1,
    "num_sanity_val_steps": -1,
    "overfit_batches": 0,
    "reload_dataloaders_every_n_epochs": 0,
    "val_check_interval": 0,
}
"""The smallest value of each number that the trainer takes; where -1 is one, it stands for no limit."""
SEEDS = 2**32
LONGEST = 200
"""Bytes in a folder's name; file systems take 255."""
MOST_A_CORE = 4
"""Processes that train on a core of a CPU: more than one only makes sense for a trial."""


def check_options(options: Namespace) -> None:
    """Refuses a seed, a name, a folder or a number for the trainer that cannot be, before anything is built.

    Args:
        options: Those of a sub-command, parsed.

    Raises:
        ValueError: The message names the option, its value, and what it takes.
    """
    seed = options.get("seed_everything")
    if isinstance(seed, int) and not 0 <= seed < SEEDS:
        raise ValueError(f"--seed_everything: {seed} is no seed; give a whole number from 0 to {SEEDS - 1}")
    check_experiment(options.experiment)
    root = options.trainer.default_root_dir
    if not root or not is_text(str(root)):
        raise ValueError(f"--trainer.default_root_dir: {root!r} is no folder; name that of all runs, such as runs")
    for name, least in LEAST.items():
        value = options.trainer.get(name)
        # Written so that NaN is refused too.
        if isinstance(value, (int, float)) and not value >= least:
            no_limit = ", which is no limit" if least == -1 else ""
            raise ValueError(f"--trainer.{name}: {value} cannot be; give a number of at least {least}{no_limit}")


def check_processes(trainer: Trainer) -> None:
    """Refuses more processes than the machine bears, and nodes that cannot find each other and would wait for ever.

    Raises:
        ValueError: The message names the option, its value, and the remedy.
    """
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > MOST_A_CORE * cores:
        raise ValueError(
            f"--trainer.devices: {trainer.num_devices} processes on a CPU of {cores} cores; give at most "
            f"{MOST_A_CORE * cores}, each takes about 1 GB of memory"
        )
    alone = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    if alone and trainer.num_nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
        raise ValueError(
            f"--trainer.num_nodes: {trainer.num_nodes}, but nothing says where the others are; start it on each node "
            "with torchrun or through SLURM, or set MASTER_ADDR, MASTER_PORT and NODE_RANK"
        )


def check_experiment(name: str) -> None:
    """Refuses a name that leads out of the folder of runs, or into a run.

    Raises:
        ValueError: The message names the option, its value, and what it takes.
    """
    for part in name.split("/"):
        if (
            part in ("", ".", "..")
            or part != part.strip()
            or part.startswith("version_")
            or re.search(r"[\x00-\x1f\x7f\\]", part)
            or not is_text(part)
            or len(part.encode()) > LONGEST
        ):
            raise ValueError(
                f"--experiment: {abridged(name)!a} is no name for a folder of runs; give one such as mnist_cnn or "
                f"compare/mnist_cnn, each part of at most {LONGEST} bytes, none of them .. or version_<number>"
            )
