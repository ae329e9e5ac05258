"""Short trainings on digits with an unlabeled pool, and reference computations of the predictions for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor

from litzoo.callbacks import EpochSeed, LastCheckpoint
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import AssignedLabels, MLPClassifier
from tests.training import cpu_trainer

LAST = Path("run/checkpoints/last.ckpt")


def digits(**options: Any) -> DigitsDataModule:
    """Serves 60 labeled, 141 unlabeled and 80 validation samples of all ten digits."""
    sizes = {"train_size": 201, "val_size": 80, "num_labeled": 60, "batch_size": 20, "eval_batch_size": 50}
    return DigitsDataModule(**{**sizes, "unlabeled_batch_size": 47, "augment": "shift", **options})


def perceptron(**options: Any) -> MLPClassifier:
    """Returns a small network with batch norm and dropout, with the same weights every time."""
    torch.manual_seed(0)
    method = AssignedLabels(view="strong")
    given = {"num_classes": 10, "hidden": [16], "batch_norm": True, "dropout": 0.2, "pseudo_labels": method}
    return MLPClassifier((1, 28, 28), **{**given, **options})


def fit(*callbacks: Callback, model=None, datamodule=None, ckpt_path=None, **options: Any):
    """Trains for two epochs of three steps; returns trainer, module and datamodule."""
    model, datamodule = model or perceptron(), datamodule or digits()
    given = {"max_epochs": 2, "enable_checkpointing": True, "callbacks": [EpochSeed(), *callbacks, LastCheckpoint()]}
    trainer = cpu_trainer(**(given | options))
    trainer.fit(model, datamodule, ckpt_path=ckpt_path)
    return trainer, model, datamodule


def pool_predictions(model: MLPClassifier, datamodule: DigitsDataModule) -> tuple[Tensor, Tensor, Tensor]:
    """Returns label, confidence and position of each pool sample, without a DataLoader."""
    index = datamodule.split.unlabeled
    logits = model.adjust_logits(evidence_at(model, datamodule, index).logits)
    confidence, label = logits.softmax(dim=1).max(dim=1)
    return label, confidence, index


def evidence_at(model: MLPClassifier, datamodule: DigitsDataModule, index: Tensor) -> Evidence:
    """Returns features and logits of training samples at positions `[n]`, without augmentation."""
    training = model.training
    with torch.no_grad():
        features = model.eval().net.features(datamodule.normalise(datamodule.read(train=True)[0][index]))
        logits = model.net.head(features)
    model.train(training)
    return Evidence(logits, features)


def weights_of(model: MLPClassifier) -> dict[str, Tensor]:
    """Returns a copy of weights and buffers."""
    return {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two such copies are equal, bit by bit."""
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@contextmanager
def unchanged(module: MLPClassifier) -> Iterator[None]:
    """Asserts that weights, random state and training modes stay the same."""
    before, random_state = weights_of(module), torch.get_rng_state()
    modes = [part.training for part in module.modules()]
    yield
    assert torch.equal(torch.get_rng_state(), random_state)
    assert same(weights_of(module), before)
    assert [part.training for part in module.modules()] == modes


class RecordsEpochs(Callback):
    """Records the weights, and the extra state of the pseudo-labels, at the start of each epoch."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Tensor]] = []
        self.weights: list[dict[str, Tensor]] = []

    def on_train_epoch_start(self, trainer, pl_module):
        if (method := pl_module.pseudo_labels) is not None:
            self.kept.append({name: value.clone() for name, value in method.get_extra_state().items()})
        self.weights.append(weights_of(pl_module))
