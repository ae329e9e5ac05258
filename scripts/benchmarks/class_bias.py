"""Measures what class weights do to probabilities, and what a temperature and a bias for each class repair of it.

Usage: python -m litzoo.scripts.benchmarks.class_bias [CONFIG] [--seeds 0 1 2] [--write]

Each seed is trained once for each value of `model.calibrate`, with class weights, and tested.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
import torch.nn.functional as F

from litzoo.lit_modules.classifiers._temperature import Calibrate
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table, mean_and_std

NAME, DOCUMENT = "benchmark_class_bias", Path("docs/calibration.md")
WEIGHTS = "--model.loss WeightedCrossEntropy --data.class_weighting sqrt"
LEAST = 20
"""Test samples of a class below which its mean probability is not judged."""


def measure(config: str, calibrate: str, seed: int) -> dict[str, float]:
    """Trains a config and returns what is measured on its test set, by name."""
    words = [f"--config={config}", *WEIGHTS.split(), f"--seed_everything={seed}", f"--model.calibrate={calibrate}"]
    cli = run(["fit", *words, "--trainer.enable_progress_bar=false", "--data.val_size=0.2"])
    outputs: Any = cli.trainer.predict(cli.model, cli.datamodule.test_dataloader(), ckpt_path="best")
    logits, index = (torch.cat([batch[name] for batch in outputs]) for name in ("logits", "index"))
    target = cli.datamodule.test_set.targets[index]
    probabilities, prediction = logits.double().softmax(dim=1), logits.argmax(dim=1)
    counts = torch.bincount(target, minlength=logits.shape[1])
    judged = counts >= LEAST
    factors = (probabilities.mean(dim=0) / counts * len(target))[judged].log().abs().exp()
    recall = torch.bincount(target[prediction == target], minlength=len(counts))[judged] / counts[judged]
    return {
        "loss": float(F.cross_entropy(logits.double(), target)),
        "factor": float(factors.max()),
        "acc": float((prediction == target).double().mean()),
        "recall": float(recall.mean()),
        "test": len(target),
    }


def table(result: Mapping[str, Any]) -> str:
    """Formats the results."""
    header = ["`model.calibrate`", "cross-entropy", "mean probability of the worst class: wrong by", "accuracy"]
    header += ["mean accuracy of the classes"]
    rows = []
    for calibrate, runs in result["values"].items():
        columns = {name: [each[name] for each in runs.values()] for name in next(iter(runs.values()))}
        rows.append(
            [
                f"`{calibrate}`",
                mean_and_std(columns["loss"], 4),
                f"{100 * (statistics.mean(columns['factor']) - 1):.0f} %",
                f"{mean_and_std([100 * each for each in columns['acc']], 2)} %",
                f"{mean_and_std([100 * each for each in columns['recall']], 2)} %",
            ]
        )
    seeds = next(iter(result["values"].values()))
    note = (
        f"`{result['config']} {WEIGHTS} --data.val_size 0.2`, seeds {', '.join(seeds)}. The columns of "
        f"classes leave out those with fewer than {LEAST} of the {next(iter(seeds.values()))['test']:,.0f} test "
        "samples."
    )
    return f"{markdown_table(header, rows)}\n\n{note} {format_environment(result)}."


def main(words: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default="csv_classifier", help="name of a config of a table with classes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--write", action="store_true", help=f"write the table to {DOCUMENT}")
    options = parser.parse_args(words)
    values = {
        calibrate: {str(seed): measure(options.config, calibrate, seed) for seed in options.seeds}
        for calibrate in get_args(Calibrate)
    }
    result = {**environment(), "config": options.config, "values": values}
    print(table(result))
    if options.write:
        publish(NAME, result, table(result), DOCUMENT)


if __name__ == "__main__":
    main()
