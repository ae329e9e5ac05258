"""Trainings that end in a ranking of suspicious labels."""

from typing import Any

import torch

from litzoo.callbacks import LastCheckpoint, NoisyLabelFinder
from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.lit_modules import SoftmaxRegression
from tests.training import cpu_trainer
from tests.two_processes.processes import two_processes


def rank(folder: str, epochs: int = 3, ckpt_path: str | None = None, **trainer_options: Any) -> dict[str, Any]:
    """Trains on 101 samples, an odd number, with a learning rate of 0: one process and two see the same losses."""
    torch.manual_seed(3)
    model = SoftmaxRegression((1, 28, 28), 10, optimizer=lambda weights: torch.optim.SGD(weights, lr=0.0))
    datamodule = DigitsDataModule(train_size=101, val_size=101, batch_size=16, label_noise=SymmetricNoise(0.2))
    finder = NoisyLabelFinder()
    writing = {"callbacks": [finder, LastCheckpoint()], "enable_checkpointing": True, "default_root_dir": folder}
    trainer = cpu_trainer(max_epochs=epochs, **writing, **trainer_options)
    trainer.fit(model, datamodule, ckpt_path=ckpt_path)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if "suspects" in name}
    return {"seen": finder.statistics.seen, "metrics": metrics}


def rank_in_parts(folder: str) -> dict[str, Any]:
    """Trains as long, as one of two processes, and is resumed after two epochs."""
    rank(folder, epochs=2, **two_processes())
    return rank(folder, ckpt_path=f"{folder}/checkpoints/last.ckpt", **two_processes())
