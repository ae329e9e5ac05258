"""Short trainings on the digits 1 to 7, the others being unknown, and reference computations for a detector."""

from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litzoo.callbacks import BestCheckpoint, LastCheckpoint, UnknownClassDetector
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MLPClassifier
from tests.training import cpu_trainer

KNOWN = [1, 2, 3, 4, 5, 6, 7]
BEST, LAST = Path("run/checkpoints/best.ckpt"), Path("run/checkpoints/last.ckpt")


def digits(**options: Any) -> DigitsDataModule:
    """Serves 200 training and 80 validation samples of the digits 1 to 7, and all 359 test samples."""
    sizes = {"train_size": 200, "val_size": 80, "batch_size": 40, "eval_batch_size": 50}
    return DigitsDataModule(**{**sizes, "known_classes": KNOWN, **options})


def perceptron(**options: Any) -> MLPClassifier:
    """Returns a small network, with the same weights every time."""
    torch.manual_seed(0)
    return MLPClassifier((1, 28, 28), **{"num_classes": 7, "class_names": list("1234567"), "hidden": [16], **options})


def fit(detector, *callbacks, datamodule=None, model=None, ckpt_path=None, **options):
    """Trains for three epochs (the first one is the best); returns trainer, module and datamodule."""
    datamodule, model = datamodule or digits(), model or perceptron()
    checkpoints = [BestCheckpoint(mode="max"), LastCheckpoint()]
    given = {"max_epochs": 3, "enable_checkpointing": True, "callbacks": [detector, *callbacks, *checkpoints]}
    trainer = cpu_trainer(**(given | options))
    trainer.fit(model, datamodule, ckpt_path=ckpt_path)
    return trainer, model, datamodule


def state_in(path: Path) -> dict[str, Any]:
    """Returns the detector's state in a checkpoint."""
    return torch.load(path, weights_only=True)["callbacks"].get("UnknownClassDetector", {})


def module_in(path: Path) -> MLPClassifier:
    """Returns the module of a checkpoint."""
    return MLPClassifier.load_from_checkpoint(path, weights_only=True).eval()


def evidence(model: MLPClassifier, datamodule: DigitsDataModule, part: str) -> tuple[Evidence, Tensor]:
    """Returns the module's features and logits of a part of the data, and its targets, without a DataLoader."""
    stage, dataset = ("test", "test_set") if part == "test" else ("fit", f"{part}_set")
    datamodule.setup(stage)
    chosen = getattr(datamodule, dataset)
    training = model.training
    with torch.no_grad():
        features = model.eval().net.features(datamodule.normalise(chosen.inputs[chosen.indices]))
        logits = model.net.head(features)
    model.train(training)
    return Evidence(logits, features), chosen.targets[chosen.indices]


def conformal(scores: Tensor, acceptance: float = 0.95) -> float:
    """Returns the ⌈(n + 1) · acceptance⌉-th smallest score."""
    return sorted(scores.tolist())[ceil((len(scores) + 1) * acceptance) - 1]


def metrics_of(detector: UnknownClassDetector, datamodule: DigitsDataModule, path: Path, **options: Any):
    """Tests a checkpoint with a new detector; returns the metrics."""
    trainer = cpu_trainer(callbacks=[detector], **options)
    (metrics,) = trainer.test(module_in(path), datamodule, ckpt_path=path, verbose=False)
    return metrics


def alike(first: Any, second: Any) -> bool:
    """Whether two nested values of checkpoints are equal, bit by bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(alike(each, second[name]) for name, each in first.items())
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(alike, first, second))
    return torch.equal(first, second) if isinstance(first, Tensor) else first == second
