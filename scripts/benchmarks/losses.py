"""Measures a training step with each loss, for a CNN on MNIST.

Usage: python -m litzoo.scripts.benchmarks.losses [--rounds 30] [--write]

A step is that of the module: forward, loss, training metrics, backward, optimizer.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from itertools import islice
from typing import Any

import torch

from litzoo.datamodules import MNISTDataModule
from litzoo.datamodules.batch import Batch
from litzoo.lit_modules import losses
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark, time_interleaved
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table

BATCH_SIZE = 128
STEPS = 4
"""Steps with one loss in each round."""

CNN = "configs/mnist_cnn.yaml"
BASELINE = "cross-entropy"
OPTIONS = {
    "ForwardCorrection": ["--model.loss.warm_up=1"],  # the epoch that estimates the matrix
    "WeightedCrossEntropy": ["--data.class_weighting=inverse"],
}
CASES: dict[str, tuple[str, list[str]]] = {
    BASELINE: (CNN, []),
    **{
        name: (CNN, [f"--model.loss={name}", *OPTIONS.get(name, [])])
        for name in losses.__all__
        if name not in ("ClassificationLoss", "DisturbValue")  # the base class, and one for regression
    },
    "ForwardCorrection, matrix given": (
        CNN,
        ["--model.loss=ForwardCorrection", f"--model.loss.matrix={torch.eye(10).tolist()}"],
    ),
    "MixUp": (CNN, ["--model.mix=MixUp"]),
    "CutMix": (CNN, ["--model.mix=CutMix"]),
    "CoTeachingClassifier": ("configs/mnist_noisy_coteaching.yaml", []),
}
"""Row of the table -> config, further options of `litzoo fit`."""


def step_function(config: str, options: list[str], folder: str) -> Callable[[Batch], object]:
    """Returns the training step of the module that `litzoo fit` makes of a config."""
    # fmt: off
    cli = run([
        "fit", "--config", config, *options, "--test_after_fit", "false", "--trainer.max_epochs", "0",
        "--trainer.accelerator", "cpu", "--trainer.default_root_dir", folder,
    ])
    # fmt: on
    module: Any = cli.model
    module.train()
    optimizer = module.make_optimizer(module.parameters())

    def step(batch: Batch) -> None:
        loss = module.training_step(batch, 0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures the seconds of a step: row of the table -> one number per round."""
    with tempfile.TemporaryDirectory() as folder:
        steps = {name: step_function(config, options, folder) for name, (config, options) in CASES.items()}
        datamodule = MNISTDataModule(batch_size=BATCH_SIZE)
        datamodule.setup("fit")
        loader = islice(datamodule.train_dataloader(), STEPS)
        batches: list[Any] = [datamodule.on_after_batch_transfer(batch, 0) for batch in loader]
        actions = {name: lambda step=step: list(map(step, batches)) for name, step in steps.items()}
        seconds = time_interleaved(actions, arguments.rounds)
    return {
        "batch_size": BATCH_SIZE,
        "seconds": {name: [each / STEPS for each in times] for name, times in seconds.items()},
    }


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    baseline = result["seconds"][BASELINE]
    rows = []
    for name, times in result["seconds"].items():
        ratio = "" if name == BASELINE else format_ratio(times, baseline)
        rows.append([name if name == BASELINE else f"`{name}`", f"{1000 * statistics.median(times):.1f} ms", ratio])
    header = ["", "training step", "relative to cross-entropy, median (quartiles)"]
    return (
        f"The CNN of `mnist_cnn`, batch {result['batch_size']}. {format_environment(result)}; medians of "
        f"{result['rounds']} interleaved rounds of {STEPS} steps.\n\n" + markdown_table(header, rows)
    )


if __name__ == "__main__":
    run_benchmark("benchmark_losses", __doc__, 30, measure, table)
