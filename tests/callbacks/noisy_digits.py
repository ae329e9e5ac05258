"""Short trainings on digits with 20 % wrong labels, and their expected results."""

import csv
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback

from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.lit_modules import SoftmaxRegression
from tests.training import cpu_trainer


class Records(Callback):
    """Records the outputs of every training step, by epoch, and the metrics at the end of each epoch."""

    def __init__(self):
        self.epochs, self.metrics = [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append([])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        labeled = batch.get("labeled", batch)
        columns = [outputs["logits"], labeled["target"], labeled["index"], labeled.get("clean_target")]
        self.epochs[-1].append([None if column is None else column.numpy() for column in columns])

    def on_train_epoch_end(self, trainer, pl_module):
        self.metrics.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def digits(**options):
    noise = SymmetricNoise(0.2)
    return DigitsDataModule(**{"train_size": 200, "val_size": 50, "batch_size": 40, "label_noise": noise, **options})


def fit(finder, *callbacks, datamodule=None, model=None, ckpt_path=None, **options):
    torch.manual_seed(0)
    model = SoftmaxRegression((1, 28, 28), 10) if model is None else model
    records = Records()
    trainer = cpu_trainer(callbacks=[finder, records, *callbacks], **{"max_epochs": 3, **options})
    trainer.fit(model, digits() if datamodule is None else datamodule, ckpt_path=ckpt_path)
    return records


def suspects():
    with Path("run/suspects.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def mean_losses(epochs):
    """Computes each sample's mean loss in numpy, and its labels: index -> (mean, given, true)."""
    seen = {}
    for epoch in epochs:
        for logits, targets, indices, clean in epoch:
            for row, target, index, true in zip(logits.astype(float), targets, indices, clean, strict=True):
                loss = np.log(np.exp(row - row.max()).sum()) + row.max() - row[target]
                seen.setdefault(int(index), []).append((loss, target, true))
    return {index: np.mean(values, axis=0) for index, values in seen.items()}
