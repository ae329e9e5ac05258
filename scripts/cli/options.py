"""Checks options before anything is built: numbers of the trainer, the seed, and the folders of runs."""

import re

from jsonargparse import Namespace

from litzoo.datamodules.splits.core import whole
from litzoo.scripts.cli.arguments import is_text, shorten


def with_class_paths(words: list[str]) -> list[str]:
    """Returns a command line with the path of `ReduceLROnPlateau`, a name that torch and Lightning both have.

    Lightning's takes the metric to monitor; torch's monitors `val/loss`.
    """
    monitors = any(word.startswith("--model.scheduler.monitor") for word in words)
    path = f"{'lightning.pytorch.cli' if monitors else 'torch.optim.lr_scheduler'}.ReduceLROnPlateau"
    found = list(words)
    for position, word in enumerate(words):
        if word == "--model.scheduler=ReduceLROnPlateau":
            found[position] = f"--model.scheduler={path}"
        elif word == "ReduceLROnPlateau" and words[max(position - 1, 0)] == "--model.scheduler":
            found[position] = path
    return found


MINIMUM = {
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
"""The smallest value of each numeric option of the trainer; -1 means no limit."""
SEEDS = 2**32
LONGEST = 200
"""Bytes in a folder's name; file systems take 255."""


def check_options(options: Namespace) -> None:
    """Refuses an invalid seed, experiment name, folder or number for the trainer.

    Args:
        options: Those of a sub-command, parsed.

    Raises:
        ValueError: The message names the option, its value, and what it takes.
    """
    seed = options.get("seed_everything")
    if isinstance(seed, int) and not 0 <= seed < SEEDS:
        raise ValueError(f"--seed_everything: {seed} is not a seed; give an integer from 0 to {SEEDS - 1}")
    check_experiment(options.experiment)
    root = options.trainer.default_root_dir
    if not root or not is_text(str(root)):
        raise ValueError(
            f"--trainer.default_root_dir: {root!r} is not a folder; give the folder of all runs, such as runs"
        )
    # Not a fraction of an epoch above 1, but batches; see `whole`.
    options.trainer.val_check_interval = whole(options.trainer.get("val_check_interval"))
    for name, least in MINIMUM.items():
        value = options.trainer.get(name)
        # Written so that NaN is refused too.
        if isinstance(value, (int, float)) and not value >= least:
            no_limit = ", which is no limit" if least == -1 else ""
            raise ValueError(f"--trainer.{name}: {value} is out of range; give a number of at least {least}{no_limit}")


def check_experiment(name: str) -> None:
    """Refuses an experiment name that leads out of the folder of runs, or into a run.

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
                f"--experiment: {shorten(name)!a} is not a valid name for a folder of runs; give one such as mnist_cnn "
                f"or compare/mnist_cnn, each part of at most {LONGEST} bytes, none of them .. or version_<number>"
            )
