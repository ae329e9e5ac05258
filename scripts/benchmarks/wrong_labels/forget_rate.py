"""Measures the forget rate that co-teaching estimates (`forget_rate: auto`), against the true rate of wrong labels.

Usage: python -m litzoo.scripts.benchmarks.wrong_labels.forget_rate [--seeds 0] [--write]

Digits, and 6,000 samples of MNIST and Fashion-MNIST, with symmetric noise. --write writes docs/losses.md and its
results.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table

DOCUMENT = Path("docs/losses.md")
NAME = "benchmark_forget_rate"
RATES = (0.0, 0.2, 0.5)
MNIST = ["--data.train_size=6000", "--data.val_size=1000"]
DIGITS = ["--data=DigitsDataModule", "--data.val_size=0.2", "--data.batch_size=32"]
DATA = {
    "digits": ["--config=mnist_noisy_coteaching", *DIGITS],
    "MNIST": ["--config=mnist_noisy_coteaching", *MNIST],
    "Fashion-MNIST": ["--config=fashion_mnist_noisy_coteaching", *MNIST],
}
NOISE = ["--data.label_noise=SymmetricNoise", "--data.noisy_val=true"]
COMMON = ["--trainer.max_epochs=10", "--trainer.precision=bf16-mixed", "--trainer.enable_progress_bar=false"]


def train(data: str, rate: float, forget_rate: float | str, seed: int) -> dict[str, float]:
    """Trains once; returns the test accuracy of the last epoch and the fraction that is finally left out."""
    with tempfile.TemporaryDirectory() as folder:
        options = [*DATA[data], *NOISE, f"--data.label_noise.rate={rate}", f"--model.forget_rate={forget_rate}"]
        places = [f"--trainer.default_root_dir={folder}", "--test_after_fit=false", f"--seed_everything={seed}"]
        cli = run(["fit", *options, *COMMON, *places])
        forgotten = float(cli.trainer.callback_metrics.get("train/forget_rate", forget_rate))
        cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
        return {"acc": float(cli.trainer.callback_metrics["test/acc"]), "forget_rate": forgotten}


def measure(seeds: list[int], data: list[str]) -> dict[str, Any]:
    """Measures all cells: data, noise and the given rate -> a dict for each seed."""
    cells = {
        f"{name} {rate:g} {kind}": [train(name, rate, rate if kind == "known" else "auto", seed) for seed in seeds]
        for name in data
        for rate in RATES
        for kind in ("known", "auto")
    }
    return {"seeds": seeds, "cells": cells}


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""

    def percent(cell: str, name: str) -> str:
        values = [100 * each[name] for each in result["cells"].get(cell, [])]
        return f"{statistics.mean(values):.2f} %" if values else "not measured"

    rows = []
    for cell in (name.removesuffix(" auto") for name in result["cells"] if name.endswith(" auto")):
        data, rate = cell.rsplit(" ", 1)
        accuracies = [percent(f"{cell} {kind}", "acc") for kind in ("known", "auto")]
        rows.append([data, f"{100 * float(rate):.0f} %", percent(f"{cell} auto", "forget_rate"), *accuracies])
    header = ["data", "wrong labels", "estimated", "test accuracy, rate known", "test accuracy, `auto`"]
    facts = f"Seeds {', '.join(map(str, result['seeds']))}, ten epochs, the last one. {format_environment(result)}."
    return f"{markdown_table(header, rows)}\n\n{facts}"


def main() -> None:
    """Measures, prints, and with `--write` publishes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the training (default: 0)")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA), help="data sets (default: all)")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT} and its results")
    arguments = parser.parse_args()
    result = {**environment(), **measure(arguments.seeds, arguments.data)}
    print(table(result))
    if arguments.write:
        publish(NAME, result, table(result), DOCUMENT)


if __name__ == "__main__":
    main()
