"""The trainings behind the figures of wrong labels: on noisy labels, on folds of them, and on corrected ones.

Digits, MNIST and Fashion-MNIST (6,000 samples each). A finished training is kept in a cache folder and not repeated.
"""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from litzoo.datamodules import (
    AsymmetricNoise,
    DigitsDataModule,
    FashionMNISTDataModule,
    IndexedDataset,
    MNISTDataModule,
    SymmetricNoise,
)
from litzoo.datamodules.splits.core import Split
from litzoo.lit_modules import CNNClassifier
from litzoo.lit_modules.label_judgement import judge_labels
from litzoo.lit_modules.mixed_precision import emulates_bf16

EPOCHS, FOLDS = 10, 3
NOISE: dict[str, Any] = {
    "clean": None,
    "sym5": SymmetricNoise(0.05),
    "sym20": SymmetricNoise(0.2),
    "asym40": AsymmetricNoise(0.4),
}


class _Logits(Callback):
    """Records the logits of each epoch, float16 `[N, K]`."""

    def __init__(self, samples: int) -> None:
        self.samples, self.epochs = samples, list[Tensor]()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.epochs.append(torch.zeros(self.samples, 10, dtype=torch.float16))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.epochs[-1][outputs["index"]] = outputs["logits"].half()


def datamodule_of(data: str, noise: str, seed: int) -> Any:
    """Returns a datamodule that has been set up."""
    if data == "digits":
        datamodule: Any = DigitsDataModule(
            batch_size=32, augment="affine", val_size=0.2, label_noise=NOISE[noise], seed=seed
        )
    else:
        kind: Any
        kind, augment = {"mnist": (MNISTDataModule, "shift"), "fashion": (FashionMNISTDataModule, "crop_flip")}[data]
        datamodule = kind(augment=augment, val_size=5000, train_size=6000, label_noise=NOISE[noise], seed=seed)
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    return datamodule


def train(datamodule: Any, data: str, seed: int) -> tuple[Any, Tensor, float]:
    """Trains a CNN; returns it, the logits of each epoch `[E, N, K]` and the seconds."""
    pl.seed_everything(seed, verbose=False)
    rate, warm_up = (0.005, 0.3) if data == "digits" else (0.01, 0.2)
    model = CNNClassifier(
        (1, 28, 28),
        10,
        widths=[32, 64],
        channels_last=True,
        optimizer=lambda weights: torch.optim.AdamW(weights, lr=rate),
        scheduler=lambda optimizer, total_steps: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=rate, pct_start=warm_up, total_steps=total_steps
        ),
    )
    recorded = _Logits(len(datamodule.targets))
    quiet: dict[str, Any] = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False)
    trainer = Trainer(
        accelerator="cpu",
        precision="32-true" if emulates_bf16() else "bf16-mixed",
        max_epochs=EPOCHS,
        callbacks=[recorded],
        enable_checkpointing=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        **quiet,
    )
    start = time.perf_counter()
    trainer.fit(model, datamodule)
    return model, torch.stack(recorded.epochs), time.perf_counter() - start


@torch.no_grad()
def predict(model: Any, datamodule: Any, inputs: Tensor, index: Tensor) -> Tensor:
    """Returns logits `[n, K]`, without augmentation."""
    model.eval()
    return torch.cat([model(datamodule.normalise(inputs[rows])) for rows in index.split(1000)])


def serve(datamodule: Any, train_rows: Tensor, targets: Tensor) -> None:
    """Makes a datamodule train on some samples, with some labels."""
    datamodule.split, datamodule.targets = Split(train_rows, torch.empty(0, dtype=torch.int64)), targets
    datamodule.train_set = IndexedDataset(datamodule.train_set.inputs, targets, train_rows)


def accuracy(model: Any, datamodule: Any) -> float:
    """Returns the accuracy on the clean test set."""
    test = datamodule.test_set
    predicted = predict(model, datamodule, test.inputs, torch.arange(len(test))).argmax(dim=1)
    return (predicted == test.targets).double().mean().item()


def cell(cache: Path, data: str, noise: str, seed: int) -> dict[str, Any]:
    """Trains once, and once for each fold, unless that is in the cache."""
    path = cache / f"{data}_{noise}_{seed}.npz"
    if not path.exists():
        datamodule = datamodule_of(data, noise, seed)
        rows = datamodule.split.train
        given = datamodule.targets[rows]
        result = {"given": given.numpy(), "clean": datamodule.clean_targets[rows].numpy(), "index": rows.numpy()}
        model, logits, seconds = train(datamodule, data, seed)
        result |= {"epochs": logits[:, rows].numpy(), "seconds": seconds, "acc": accuracy(model, datamodule)}
        held_out, total = torch.zeros(len(rows), 10), 0.0
        for number, (rest, fold) in enumerate(
            StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(given, given)
        ):
            serve(datamodule, rows[torch.from_numpy(rest)], datamodule.targets)
            model, _, seconds = train(datamodule, data, seed * 10 + number)
            total += seconds
            held_out[fold] = predict(model, datamodule, datamodule.train_set.inputs, rows[torch.from_numpy(fold)])
        np.savez(path, **result, oof=held_out.numpy(), fold_seconds=total)
    return dict(np.load(path))


def loop(cache: Path, data: str, noise: str, seed: int) -> dict[str, float]:
    """Returns the test accuracy on noisy, corrected, remaining and clean labels."""
    found = cell(cache, data, noise, seed)
    path = cache / f"loop_{data}_{noise}_{seed}.npz"
    if not path.exists():
        judgement = judge_labels(mean_probabilities(found["epochs"]), torch.from_numpy(found["given"]))
        rows, flagged = torch.from_numpy(found["index"]), judgement.wrong > 0.5
        result: dict[str, Any] = {}
        for name in ("corrected", "dropped"):
            datamodule = datamodule_of(data, noise, seed)
            targets = datamodule.targets.clone()
            if name == "corrected":
                targets[rows[flagged]] = judgement.suggested[flagged]
            serve(datamodule, rows if name == "corrected" else rows[~flagged], targets)
            model, _, _ = train(datamodule, data, seed)
            result[name] = accuracy(model, datamodule)
        np.savez(path, **result)
    again = {name: float(value) for name, value in np.load(path).items()}
    return {"noisy": float(found["acc"]), **again, "clean": float(cell(cache, data, "clean", seed)["acc"])}


def mean_probabilities(logits: np.ndarray) -> Tensor:
    """Returns the mean over the epochs after the first of predicted probabilities `[n, K]`, of logits `[E, n, K]`."""
    return torch.from_numpy(logits[1:]).float().softmax(dim=2).mean(dim=0)
