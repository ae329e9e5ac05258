"""Trainings that end with a detector of unknown classes, and what it finds in a test and in a prediction."""

from pathlib import Path
from typing import Any

import torch

from litzoo.callbacks import LastCheckpoint, MaxLogit, NearestNeighbors, PredictionsCSV, UnknownClassDetector
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MLPClassifier
from tests.training import cpu_trainer

NAMES = list("1234567")


def still(weights: Any) -> torch.optim.Optimizer:
    """Leaves the weights as they are: one process and two end with the same ones."""
    return torch.optim.SGD(weights, lr=0.0)


def detect(folder: str, score: str = "NearestNeighbors", **trainer_options: Any) -> dict[str, Any]:
    """Fits a detector to 101 training and 81 validation samples, odd numbers, and tests and predicts with it."""
    torch.manual_seed(4)
    model = MLPClassifier((1, 28, 28), 7, hidden=[16], class_names=NAMES, optimizer=still)
    sizes = {"train_size": 101, "val_size": 81, "batch_size": 16, "eval_batch_size": 33}
    datamodule = DigitsDataModule(known_classes=NAMES, **sizes)
    first, second = NearestNeighbors(5), MaxLogit()
    decides, beside = (first, second) if score == "NearestNeighbors" else (second, first)
    detector = UnknownClassDetector(decides, 0.9, report=[beside], count=1)
    writing = {"callbacks": [detector, PredictionsCSV(), LastCheckpoint()], "enable_checkpointing": True}
    trainer = cpu_trainer(**writing, default_root_dir=folder, **trainer_options)
    trainer.fit(model, datamodule)
    validated = {name: float(value) for name, value in trainer.callback_metrics.items() if "known" in name}
    path = Path(folder, "checkpoints", "last.ckpt")
    (tested,) = trainer.test(model, datamodule, ckpt_path=path, verbose=False)
    trainer.predict(model, datamodule, ckpt_path=path, return_predictions=False)
    state = torch.load(path, weights_only=True)["callbacks"]["UnknownClassDetector"]
    return {"state": state, "metrics": tested, "validated": validated, "threshold": detector.detection.threshold}
