"""A short training whose checkpoint is predicted with and exported."""

from pathlib import Path

import torch

from litzoo.callbacks import BestCheckpoint, LastCheckpoint, NearestNeighbors, UnknownClassDetector
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier
from tests.callbacks.open_set_digits import KNOWN
from tests.training import cpu_trainer


def digits(**options):
    """Serves the digits 1 to 7, and all ten in the test."""
    sizes = {"train_size": 200, "val_size": 80, "batch_size": 40, "eval_batch_size": 100}
    return DigitsDataModule(**{**sizes, "known_classes": KNOWN, **options})


def train_digits(folder: Path) -> Path:
    """Trains a small CNN with unknown-class detection by nearest neighbours; returns the path of `best.ckpt`."""
    torch.manual_seed(0)
    data = digits()
    model = CNNClassifier((1, 28, 28), 7, widths=[4, 8], class_names=data.class_names, channels_last=True)
    callbacks = [UnknownClassDetector(NearestNeighbors(5), count=1), BestCheckpoint(mode="max"), LastCheckpoint()]
    trainer = cpu_trainer(default_root_dir=str(folder), callbacks=callbacks, max_epochs=2, enable_checkpointing=True)
    trainer.fit(model, data)
    return folder / "checkpoints" / "best.ckpt"


def images_of_test() -> torch.Tensor:
    """Returns the 359 test images, uint8."""
    data = digits()
    data.setup("test")
    return data.test_set.inputs
