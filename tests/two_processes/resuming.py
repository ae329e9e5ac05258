"""A training in two processes, and the same one resumed from a checkpoint within its second epoch."""

import os
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch import Callback

from litzoo.callbacks import BestCheckpoint, EpochSeed, ExactResume, LastCheckpoint
from tests.callbacks.open_set_digits import digits, perceptron
from tests.training import cpu_trainer
from tests.two_processes.processes import two_processes

LAST = Path("resumed/checkpoints/last.ckpt")


class Copies(Callback):
    """Copies `last.ckpt` within the second epoch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 2) and trainer.is_global_zero:
            shutil.copyfile(LAST, "within.ckpt")


def resumed_within_epoch() -> dict[str, Any]:
    """Returns weights and metrics of the unbroken and of the resumed training."""

    def train(*callbacks: Callback, ckpt_path: str | None = None) -> dict[str, Any]:
        module = perceptron(dropout=0.5)
        every = [EpochSeed(), ExactResume(), *callbacks, BestCheckpoint(), LastCheckpoint(every_n_steps=1)]
        options = {"enable_checkpointing": True, "max_epochs": 3, "default_root_dir": "resumed", **two_processes()}
        trainer = cpu_trainer(callbacks=every, **options)
        trainer.fit(module, digits(batch_size=20), ckpt_path=ckpt_path)
        return {**module.state_dict(), **trainer.callback_metrics, "steps": torch.tensor(trainer.global_step)}

    with patch.dict(os.environ, PL_GLOBAL_SEED="3"):
        return {"unbroken": train(Copies()), "resumed": train(ckpt_path="within.ckpt")}
