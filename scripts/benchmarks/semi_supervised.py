"""Measures the cost of an unlabeled sample in FixMatch, and of its passes through the network in a bare loop.

Usage: python -m litzoo.scripts.benchmarks.semi_supervised [--rounds 7] [--write]

Both train the CNN of `mnist_1000_fixmatch` for some steps, with and without unlabeled samples; the difference is the
cost of these. The bare loop has their images as tensors, augmented and normalised beforehand: a forward pass of the
weak view, and a forward and backward pass of the strong view.
"""

import argparse
import statistics
import tempfile
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.mixed_precision import emulates_bf16
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark, time_interleaved
from litzoo.scripts.benchmarks.training_loops import epoch_seconds
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table

CONFIG = "configs/mnist_1000_fixmatch.yaml"
STEPS, LABELED, UNLABELED = 20, 64, 448


def fit(unlabeled: bool, precision: str, folder: str, epochs: int = 1) -> LitzooCLI:
    """Trains for `STEPS` steps with `litzoo fit`, with or without unlabeled samples."""
    data = ["--data.train_size", str(800 + STEPS * UNLABELED)]
    if not unlabeled:
        data = ["--data.train_size", str(STEPS * LABELED), "--data.num_labeled", "null"]
        data += ["--model.pseudo_labels", "null", "--data.unlabeled_batch_size", "null"]
    # fmt: off
    return run([
        "fit", "--config", CONFIG, *data, "--test_after_fit", "false", "--trainer.max_epochs", str(epochs),
        "--trainer.accelerator", "cpu", "--trainer.precision", precision, "--trainer.default_root_dir", folder,
        "--trainer.callbacks+=litzoo.scripts.benchmarks.training_loops.EpochTimer",
    ])
    # fmt: on


class BareLoop:
    """Trains the network of a module with its optimizer, without anything else."""

    def __init__(self, module: Any, precision: str) -> None:
        self.module = module.train()
        self.optimizer = module.make_optimizer(module.net.parameters())
        self.autocast = precision == "bf16-mixed"
        self.labeled, self.weak, self.strong = (
            [torch.randn(size, 1, 28, 28) for _ in range(STEPS)] for size in (LABELED, UNLABELED, UNLABELED)
        )
        self.target = torch.randint(10, (LABELED,))

    def train(self, unlabeled: bool) -> None:
        """Takes `STEPS` steps, with or without unlabeled samples."""
        for step in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                loss = F.cross_entropy(self.module(self.labeled[step]), self.target)
                if unlabeled:
                    loss = loss + self.unlabeled_loss(step)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def unlabeled_loss(self, step: int) -> Tensor:
        """Returns the cross-entropy of the strong view with the class that is predicted for the weak view."""
        with torch.no_grad():
            label = self.module(self.weak[step]).argmax(dim=1)
        return F.cross_entropy(self.module(self.strong[step]), label)


def measure_precision(precision: str, rounds: int) -> dict[str, list[float]]:
    """Measures the seconds of all steps: loop -> one number per round."""
    with tempfile.TemporaryDirectory() as folder:
        bare = BareLoop(fit(True, precision, folder, epochs=0).model, precision)
        timed: dict[str, list[float]] = {"litzoo with": [], "litzoo without": []}
        actions: dict[str, Any] = {
            "litzoo with": lambda: timed["litzoo with"].append(epoch_seconds(fit(True, precision, folder).trainer)),
            "litzoo without": lambda: timed["litzoo without"].append(
                epoch_seconds(fit(False, precision, folder).trainer)
            ),
            "bare with": lambda: bare.train(True),
            "bare without": lambda: bare.train(False),
        }
        seconds = time_interleaved(actions, rounds)
    return seconds | {name: times[1:] for name, times in timed.items()}  # of the epoch, without the setup


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures both precisions, or one where the CPU has no instructions for the other."""
    precisions = ("32-true",) if emulates_bf16() else ("32-true", "bf16-mixed")
    return {"seconds": {precision: measure_precision(precision, arguments.rounds) for precision in precisions}}


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    rows = []
    for precision, seconds in result["seconds"].items():
        bare, litzoo = (
            [
                1000 * (with_unlabeled - without) / (STEPS * UNLABELED)
                for with_unlabeled, without in zip(seconds[f"{loop} with"], seconds[f"{loop} without"], strict=True)
            ]
            for loop in ("bare", "litzoo")
        )
        medians = [f"{statistics.median(costs):.3f} ms" for costs in (bare, litzoo)]
        rows.append([precision, *medians, format_ratio(litzoo, bare)])
    header = ["precision", "passes in a bare loop", "`litzoo fit`", "ratio, median (quartiles)"]
    return (
        f"Cost of an unlabeled sample in `mnist_1000_fixmatch`. {format_environment(result)}; medians of "
        f"{result['rounds']} interleaved rounds of {STEPS} steps with {LABELED} labeled and {UNLABELED} unlabeled "
        "samples.\n\n" + markdown_table(header, rows)
    )


if __name__ == "__main__":
    run_benchmark("benchmark_semi_supervised", __doc__, 7, measure, table)
