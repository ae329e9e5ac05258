"""Measures the training speed of `litzoo fit` on MNIST, and of other loops that train the same network.

Usage: python -m litzoo.scripts.benchmarks.training [--rounds 5] [--write]

Each loop trains one epoch with the same network and optimizer:

- limit: a bare loop over float tensors in memory, without logging, metrics or validation;
- litzoo fit: the command, with its default callbacks, metrics, TensorBoard and progress bar;
- per-sample: plain PyTorch over torchvision's data set and transforms, one sample at a time;
- per-sample in Lightning: the same loader, with loss and accuracy logged at every step.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from typing import Any

from litzoo.lit_modules.mixed_precision import WHY, emulates_bf16
from litzoo.scripts.benchmarks.harness import environment, format_environment, run_benchmark, time_interleaved
from litzoo.scripts.benchmarks.training_loops import TrainingLoops
from litzoo.scripts.tables import markdown_table

SAMPLES = 12_800  # a fifth of an epoch, which the slow loops would take minutes for
SMALL = ["--model.hidden", "[256,128]"]
CASES = {
    "MLP 256-128, batch 64": ("configs/mnist_mlp.yaml", 64, SMALL),
    "MLP 256-128, batch 256": ("configs/mnist_mlp.yaml", 256, SMALL),
    "MLP 1024-512, batch 64": ("configs/mnist_mlp.yaml", 64, []),
    "MLP 1024-512, batch 256": ("configs/mnist_mlp.yaml", 256, []),
    "CNN, batch 128": ("configs/mnist_cnn.yaml", 128, []),
    "CNN, batch 128, bf16": ("configs/mnist_cnn.yaml", 128, ["--trainer.precision", "bf16-mixed"]),
}
"""Row of the table -> config, batch size, further options of `litzoo fit`. Nothing is augmented."""

LOOPS = ("limit", "litzoo", "per_sample", "per_sample_lightning")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures samples per second (row of the table -> loop -> one number per round) and seconds of starting up."""
    rates: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (config, batch_size, options) in CASES.items():
            if "bf16-mixed" in options and emulates_bf16():
                print(f"{name}: left out, since {WHY}")
                continue
            loops = TrainingLoops(config, batch_size, options, SAMPLES, folder)
            rates[name] = {loop: [] for loop in LOOPS}
            for _ in range(arguments.rounds + 1):
                for loop in LOOPS:
                    rates[name][loop].append(loops.num_samples / getattr(loops, loop)())
            rates[name] = {loop: values[1:] for loop, values in rates[name].items()}  # the first round warms up
    start_up = {**environment(), "seconds": start_up_seconds(arguments.rounds)}
    return {"samples": SAMPLES, "samples_per_second": rates, "start_up": start_up}


def start_up_seconds(rounds: int) -> dict[str, list[float]]:
    """Measures the seconds of `litzoo fit --help`, and of importing Lightning's command line."""
    commands = {
        "litzoo fit --help": [sys.executable, "-m", "litzoo", "fit", "--help"],
        "import lightning.pytorch.cli": [sys.executable, "-c", "import lightning.pytorch.cli"],
    }
    start = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
    return time_interleaved({name: partial(start, command) for name, command in commands.items()}, rounds)


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    rows = []
    for name, rates in result["samples_per_second"].items():
        median = {loop: statistics.median(values) for loop, values in rates.items()}
        fractions = [ours / limit for ours, limit in zip(rates["litzoo"], rates["limit"], strict=True)]
        rows.append(
            [
                name,
                *(f"{median[loop]:,.0f}" for loop in LOOPS),
                f"{statistics.median(fractions):.2f} ({min(fractions):.2f} to {max(fractions):.2f})",
                f"{median['litzoo'] / median['per_sample']:.1f} ×",
                f"{median['litzoo'] / median['per_sample_lightning']:.1f} ×",
            ]
        )
    header = ["training samples per second", "limit", "`litzoo fit`", "per-sample", "per-sample in Lightning"]
    header += ["fraction of the limit, median (range)", "vs per-sample", "vs per-sample in Lightning"]
    (command, help_time), (_, import_time) = (
        (name, statistics.median(values)) for name, values in result["start_up"]["seconds"].items()
    )
    return (
        f"{format_environment(result)}; medians of {result['rounds']} interleaved runs of one epoch of "
        f"{result['samples']:,} MNIST digits.\n\n"
        + markdown_table(header, rows)
        + f"\n\n`{command}` takes {help_time:.1f} s, importing Lightning's command line alone {import_time:.1f} s: "
        f"{help_time / import_time:.2f} × ({format_environment(result['start_up'])})."
    )


if __name__ == "__main__":
    run_benchmark("benchmark_training", __doc__, 5, measure, table)
