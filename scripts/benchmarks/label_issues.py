"""Measures how well wrong labels are found: NoisyLabelFinder, litzoo audit and cleanlab, side by side.

Usage: python -m litzoo.scripts.benchmarks.label_issues [--seeds 0 1 2] [--cache FOLDER] [--write]

Digits, MNIST and Fashion-MNIST (6,000 samples each) with clean labels, 5 and 20 % symmetric and 40 % asymmetric noise.
The finder has one training; audit and cleanlab have the same three held-out folds, with the same network and epochs. At
last, models are trained on the labels as corrected by the finder, and without the flagged samples. Needs `pip install
cleanlab`. Finished trainings are kept in the cache; --write writes docs/label_issues.md and docs/results.
"""

import argparse
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from litzoo.callbacks.label_issues.ranking import METHODS, rank_suspects
from litzoo.callbacks.label_issues.statistics import SampleStatistics
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
from litzoo.lit_modules.noise_matrix import estimate_noise_matrix
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.tables import markdown_table, mean_and_std

DOCUMENT = Path("docs/label_issues.md")
NAME = "benchmark_label_issues"
EPOCHS, FOLDS = 10, 3
NOISE: dict[str, Any] = {
    "clean": None,
    "sym5": SymmetricNoise(0.05),
    "sym20": SymmetricNoise(0.2),
    "asym40": AsymmetricNoise(0.4),
}
TITLES = {"clean": "clean", "sym5": "symmetric 5 %", "sym20": "symmetric 20 %", "asym40": "asymmetric 40 %"}
DATA = {"digits": "digits", "mnist": "MNIST", "fashion": "Fashion-MNIST"}
LOOP = (("fashion", "sym20"), ("fashion", "asym40"))
"""Cells in which models are trained again on corrected labels."""


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
        precision="bf16-mixed",
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


def statistics_of(found: dict[str, Any]) -> tuple[dict[str, Tensor], float]:
    """Returns what `NoisyLabelFinder` collects of a training, and the seconds that this takes."""
    collected = SampleStatistics(10)
    given, index = torch.from_numpy(found["given"]), torch.arange(len(found["given"]))
    epochs = torch.from_numpy(found["epochs"]).float()
    start = time.perf_counter()
    for number, logits in enumerate(epochs):
        for rows in index.split(128):
            collected.add(logits[rows], given[rows], rows)
        collected.end_epoch(lambda values, _: values, reset_sums=number <= 1)
    return collected.seen, time.perf_counter() - start


def evaluate(found: dict[str, Any]) -> dict[str, Any]:
    """Evaluates all methods on one cell: method -> average precision, F1 of the own cut, and so on."""
    from cleanlab.count import compute_confident_joint, estimate_latent
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    given, wrong = found["given"], found["given"] != found["clean"]
    seen, seconds = statistics_of(found)
    start = time.perf_counter()
    result: dict[str, Any] = {}
    for method in METHODS:
        ranking, judgement = rank_suspects(seen, method)
        if method == METHODS[0]:
            seconds += time.perf_counter() - start
        score = np.empty(len(given))
        score[ranking["index"].numpy()] = -np.arange(len(given))
        flagged = np.zeros(len(given), dtype=bool)
        flagged[ranking["index"][judgement.wrong > 0.5].numpy()] = True
        result[f"finder {method}"] = quality(wrong, score, flagged if method == METHODS[0] else None)
    true_matrix = noise_matrix(found["clean"], given)
    matrices = {"finder": judgement.noise_matrix.numpy()}
    held_out = torch.from_numpy(found["oof"]).softmax(dim=1)
    judgement = judge_labels(held_out, torch.from_numpy(given))
    matrices["audit"] = judgement.noise_matrix.numpy()
    matrices["cleanlab"] = estimate_latent(compute_confident_joint(given, held_out.numpy()), given)[1].T
    warm_up = torch.from_numpy(found["epochs"][1]).float().softmax(dim=1)  # the last of two epochs
    matrices["`ForwardCorrection`"] = estimate_noise_matrix(warm_up, torch.from_numpy(given)).numpy()
    matrices["predicted classes"] = noise_matrix(warm_up.argmax(dim=1).numpy(), given)
    result["audit"] = quality(wrong, judgement.log_odds.numpy(), (judgement.wrong > 0.5).numpy())
    for method in ("self_confidence", "normalized_margin"):
        score = -get_label_quality_scores(given, held_out.numpy(), method=method)
        issues = find_label_issues(given, held_out.numpy()) if method == "self_confidence" else None
        result[f"cleanlab {method}"] = quality(wrong, score, issues)
    return {
        "wrong": int(wrong.sum()),
        "samples": len(given),
        "methods": result,
        "matrix_errors": {
            name: float(np.abs(matrix - true_matrix).sum(axis=1).mean()) for name, matrix in matrices.items()
        },
        "seconds": {
            "training": float(found["seconds"]), "finder": seconds, "folds": float(found["fold_seconds"])
        },
    }  # fmt: skip


def noise_matrix(true: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Returns the fraction of each class (row) that has each label (column), float64 `[10, 10]`."""
    counts = np.zeros((10, 10))
    np.add.at(counts, (true, given), 1)
    return counts / counts.sum(axis=1, keepdims=True).clip(min=1)


def quality(wrong: np.ndarray, score: np.ndarray, flagged: np.ndarray | None) -> dict[str, float]:
    """Returns average precision, precision at the true number, and what the own cut flags with its F1."""
    found: dict[str, float] = {}
    if total := int(wrong.sum()):
        first = np.argsort(-score, kind="stable")[:total]
        found |= {"ap": float(average_precision_score(wrong, score)), "precision": float(wrong[first].mean())}
    if flagged is not None:
        found["flagged"] = int(flagged.sum())
        if total:
            found["f1"] = float(2 * (flagged & wrong).sum() / (flagged.sum() + total))
    return found


def measure(cache: Path, seeds: list[int]) -> dict[str, Any]:
    """Measures all cells."""
    cells = {
        f"{data} {noise}": [evaluate(cell(cache, data, noise, seed)) for seed in seeds]
        for data in DATA
        for noise in NOISE
    }
    again = {f"{data} {noise}": [loop(cache, data, noise, seed) for seed in seeds] for data, noise in LOOP}
    return {"seeds": seeds, "cells": cells, "loop": again}


def tables(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    own = {"finder posterior": "`NoisyLabelFinder`", "audit": "`litzoo audit`", "cleanlab self_confidence": "cleanlab"}
    rankings = [*(f"finder {method}" for method in METHODS), "audit", *(f"cleanlab {m}" for m in ("self_confidence", "normalized_margin"))]  # fmt: skip  # noqa: E501
    cuts, averages, errors = [], [], []
    for name, cells in result["cells"].items():
        data, noise = name.split()
        title = f"{DATA[data]}, {TITLES[noise]}"
        row = [title, f"{statistics.mean(each['wrong'] for each in cells):,.0f} of {cells[0]['samples']:,}"]
        for method in own:
            values = [each["methods"][method] for each in cells]
            flagged = f"{statistics.mean(value['flagged'] for value in values):,.0f}"
            row.append(flagged if noise == "clean" else f"{flagged}; {mean_and_std([v['f1'] for v in values], 3)}")
        cuts.append(row)
        found = [each["matrix_errors"] for each in cells]
        errors.append([title, *(f"{statistics.mean(each[name] for each in found):.2f}" for name in found[0])])
        if noise != "clean":
            averages.append(
                [
                    title,
                    *(f"{statistics.mean(each['methods'][method]['ap'] for each in cells):.3f}" for method in rankings),
                ]
            )
    seconds = [each["seconds"] for cells in result["cells"].values() for each in cells]
    share = statistics.median(each["finder"] / each["training"] for each in seconds)
    folds = statistics.median(each["folds"] / each["training"] for each in seconds)
    loops = []
    for name, each in result["loop"].items():
        data, noise = name.split()
        states = ("noisy", "corrected", "dropped", "clean")
        means = {state: statistics.mean(run[state] for run in each) for state in states}
        recovered = (means["corrected"] - means["noisy"]) / (means["clean"] - means["noisy"])
        loops.append(
            [f"{DATA[data]}, {TITLES[noise]}", *(f"{100 * means[state]:.2f} %" for state in states), f"{recovered:.0%}"]
        )
    facts = f"Seeds {', '.join(map(str, result['seeds']))} (data and training). {format_environment(result)}."
    return "\n\n".join(
        [
            "Labels flagged, and F1 of them (mean ± std over the seeds):",
            markdown_table(["data, noise", "wrong", *own.values()], cuts),
            "Average precision of the rankings (mean):",
            markdown_table(["data, noise", *rankings], averages),
            "Error of the estimated noise matrix: sum of the absolute errors of a row, mean over the rows and seeds. "
            "`ForwardCorrection` estimates after two epochs; *predicted classes* counts what it predicts:",
            markdown_table(["data, noise", *next(iter(result["cells"].values()))[0]["matrix_errors"]], errors),
            "Test accuracy after training again, on the clean test set (mean). *Recovered* is the part of the loss by "
            "the noise that the correction by suggested labels brings back:",
            markdown_table(["data, noise", "noisy", "corrected", "dropped", "clean", "recovered"], loops),
            f"The finder takes {share:.1%} of the time of a training; the three folds of audit and cleanlab take "
            f"{folds:.1f} times that of a training (medians). {facts}",
        ]
    )


def main() -> None:
    """Measures, prints, and with `--write` publishes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default: 0 1 2)")
    parser.add_argument("--cache", type=Path, default=Path("runs/label_issues"), help="folder of finished trainings")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT} and its results")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    result = {**environment(), **measure(arguments.cache, arguments.seeds)}
    print(tables(result))
    if arguments.write:
        publish(NAME, result, tables(result), DOCUMENT)


if __name__ == "__main__":
    main()
