"""Short trainings on digits with an unlabeled pool, and records of their pseudo-labels."""

import csv
from pathlib import Path

import torch
from lightning.pytorch import Callback

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import OnlinePseudoLabels, SoftmaxRegression
from tests.training import cpu_trainer

NAMES = ["nought/zero", *"123456789"]


class Steps(Callback):
    """Records the pseudo-labels of every training step, by epoch, and the metrics at the end of each epoch."""

    def __init__(self):
        self.epochs, self.metrics = [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append([])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        names = ("pseudo_index", "pseudo_label", "pseudo_confidence", "pseudo_used")
        self.epochs[-1].append([outputs[name] for name in names] + [batch["unlabeled"].get("clean_target")])

    def on_train_epoch_end(self, trainer, pl_module):
        found = {name: value.item() for name, value in trainer.callback_metrics.items()}
        self.metrics.append({name: value for name, value in found.items() if name.startswith("train/pseudo/")})


class HidesTruth(Callback):
    """Removes the true labels of the pool, as in users' own data."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        del batch["unlabeled"]["clean_target"]


class EightAndNineUnknown(Callback):
    """Marks two classes of the pool as unknown."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        clean = batch["unlabeled"]["clean_target"]
        clean[clean >= 8] = -1


def pool(kind=DigitsDataModule):
    return kind(train_size=200, num_labeled=50, val_size=50, batch_size=20, unlabeled_batch_size=40)


def fit(report, *callbacks, method=None, datamodule=None, ckpt_path=None, **options):
    """Trains three epochs of four steps; ten of the 150 pool samples are drawn twice in each epoch."""
    torch.manual_seed(0)
    method = OnlinePseudoLabels(weight=0.1, threshold=0.25) if method is None else method
    model = SoftmaxRegression((1, 28, 28), 10, class_names=NAMES, pseudo_labels=method)
    steps = Steps()
    trainer = cpu_trainer(callbacks=[*callbacks, report, steps], **{"max_epochs": 3, **options})
    trainer.fit(model, pool() if datamodule is None else datamodule, ckpt_path=ckpt_path)
    return steps


def newest(epochs):
    """Returns the latest pseudo-label of each sample: index -> (label, confidence, used, true)."""
    rows = {}
    for batch in (batch for epoch in epochs for batch in epoch):
        truth = torch.full_like(batch[0], -2) if batch[-1] is None else batch[-1]
        for index, *row in zip(*(column.tolist() for column in [*batch[:-1], truth]), strict=True):
            rows[index] = tuple(row)
    return rows


def pseudo_labels(folder="run"):
    with Path(folder, "pseudo_labels.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
