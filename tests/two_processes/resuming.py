"""A training in two processes, and the same one resumed from a checkpoint within its second epoch."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from litzoo.callbacks import (
    BestCheckpoint,
    EpochSeed,
    ExactResume,
    LastCheckpoint,
    NoisyLabelFinder,
    RunSummary,
    SynchronizedStop,
)
from litzoo.datamodules import SymmetricNoise
from tests.callbacks.open_set_digits import digits, perceptron
from tests.training import cpu_trainer
from tests.two_processes.processes import two_processes

LAST = Path("resumed/checkpoints/last.ckpt")
STEPS_AN_EPOCH = 5
MOMENTS = {
    "of one": {1: ("on_train_batch_start", 1)},
    "of both": {0: ("on_train_batch_start", 1), 1: ("on_train_batch_start", 1)},
    "of both at different steps": {0: ("on_train_batch_start", 2), 1: ("on_train_batch_start", 0)},
    "at the last step": {0: ("on_train_batch_start", STEPS_AN_EPOCH - 1)},
    "in a validation within the epoch": {1: ("on_validation_start", 1)},
    "at the end of the epoch": {0: ("on_train_epoch_end", STEPS_AN_EPOCH - 1)},
}
"""In which hook and after how many batches of the second epoch which process gets SIGTERM."""


class Copies(Callback):
    """Copies `last.ckpt` within the second epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 2) and trainer.is_global_zero:
            shutil.copyfile(LAST, "within.ckpt")


class Terminates(Callback):
    """Sends SIGTERM to processes in the second epoch."""

    def __init__(self, moments: dict[int, tuple[str, int]]) -> None:
        for hook, _ in moments.values():
            setattr(self, hook, lambda trainer, *_, hook=hook: self._terminate(trainer, hook, moments))

    def _terminate(self, trainer, hook, moments):
        now = (hook, max(trainer.fit_loop.batch_idx, 0))
        if trainer.current_epoch == 1 and moments.get(trainer.global_rank) == now:
            os.kill(os.getpid(), signal.SIGTERM)


def train(*callbacks: Callback, ckpt_path: str | Path | None = None, **saves: int) -> dict[str, Any]:
    """Returns weights and metrics of a training, and by how many steps this process has trained."""
    module = perceptron(dropout=0.5)
    every = [EpochSeed(), ExactResume(), *callbacks, SynchronizedStop(), NoisyLabelFinder(), RunSummary()]
    options = {"enable_checkpointing": True, "max_epochs": 3, "default_root_dir": "resumed", **two_processes()}
    every += [BestCheckpoint(), LastCheckpoint(**saves)]
    trainer = cpu_trainer(callbacks=every, val_check_interval=2, check_val_every_n_epoch=1, **options)
    data = digits(batch_size=20, label_noise=SymmetricNoise(0.2))
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    return {**module.state_dict(), **trainer.callback_metrics, "steps": torch.tensor(trainer.global_step)}


def resumed_within_epoch() -> dict[str, Any]:
    """Returns what is left of the unbroken training, of the resumed one, and of those that SIGTERM has ended."""
    with patch.dict(os.environ, PL_GLOBAL_SEED="3"), patch("litzoo.callbacks.agreement.MOST_STEPS", 1):
        found = {"unbroken": train(Copies(), every_n_steps=1), "resumed": train(ckpt_path="within.ckpt")}
        for name, moments in MOMENTS.items():
            try:
                train(Terminates(moments))
            except SIGTERMException:
                progress = torch.load(LAST, weights_only=True)["loops"]["fit_loop"]["epoch_loop.batch_progress"]
                found[name] = {"after": progress["current"]["processed"], **train(ckpt_path=LAST)}
    return found
