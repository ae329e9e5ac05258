"""Borrowed networks on digits: how they are made, saved and trained."""

from functools import partial
from pathlib import Path

import torch

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import TransferClassifier
from tests.training import cpu_trainer

SHAPE = (1, 28, 28)
BACKBONE = "runs/digits/version_3/checkpoints/best.ckpt"
NET = "squeezenet1_1"
still = partial(torch.optim.SGD, lr=0.0)


def data(**options):
    return DigitsDataModule(**{"train_size": 24, "val_size": 10, "batch_size": 12, "eval_batch_size": 10, **options})


def save(model, path=BACKBONE):
    trainer = cpu_trainer()
    trainer.strategy.connect(model)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(path)
    return path


def fit(model, datamodule=None, **options):
    trainer = cpu_trainer(**{"limit_val_batches": 0, **options})
    trainer.fit(model, datamodule or data())
    return model


def transfer(num_classes=10, input_shape=SHAPE, optimizer=still, **options):
    return TransferClassifier(input_shape, num_classes, optimizer=optimizer, **options)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
