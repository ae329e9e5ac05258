"""Measures how fast training runs: interleaved runs on MNIST, medians, one table.

Usage: python -m litzoo.scripts.benchmarks.training [--repeats 5] [--write]

Four ways to train the same network with the same optimizer for one epoch:

- limit: a bare loop over float tensors in memory, no logging, no metrics, no validation;
- per-sample: what the sources do, plain PyTorch over torchvision's data set and transforms, one sample at a time;
- per-sample in Lightning: what peers do, the same loader, with loss and accuracy logged at every step;
- litzoo fit: the command itself, with its default callbacks, metrics, TensorBoard and progress bar.

`--write` puts the table into docs/performance.md.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from functools import partial

import lightning.pytorch as pl

from litzoo.scripts.benchmarks.report import circumstances, in_turns, publish, rounds, shown
from litzoo.scripts.benchmarks.ways import Case
from litzoo.scripts.tables import markdown_table

SAMPLES = 12_800  # a fifth of an epoch: the slow ways would take minutes for a whole one
SMALL = ["--model.hidden", "[256,128]"]
CASES = {
    "MLP 256-128, batch 64": ("configs/mnist_mlp.yaml", 64, SMALL),
    "MLP 256-128, batch 256": ("configs/mnist_mlp.yaml", 256, SMALL),
    "MLP 1024-512, batch 64": ("configs/mnist_mlp.yaml", 64, []),
    "MLP 1024-512, batch 256": ("configs/mnist_mlp.yaml", 256, []),
    "CNN, batch 128": ("configs/mnist_cnn.yaml", 128, []),
    "CNN, batch 128, bf16": ("configs/mnist_cnn.yaml", 128, ["--trainer.precision", "bf16-mixed"]),
}
"""What is measured: name -> config, batch size, further options of `litzoo fit`. Nothing is augmented."""

WAYS = ("limit", "litzoo", "per_sample", "per_sample_lightning")


def measure(repeats: int) -> dict[str, dict[str, list[float]]]:
    """Measures with the ways in turns.

    Returns:
        Samples per second, case -> way -> one number for each repeat.
    """
    rates: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (config, batch_size, options) in CASES.items():
            case = Case(config, batch_size, options, SAMPLES, folder)
            rates[name] = {way: [] for way in WAYS}
            for _ in range(repeats + 1):
                for way in WAYS:
                    rates[name][way].append(len(case.samples) / getattr(case, way)())
            rates[name] = {way: values[1:] for way, values in rates[name].items()}  # the first round warms up
    return rates


def start_up(repeats: int) -> dict[str, list[float]]:
    """Returns the seconds of `litzoo --help` and of importing Lightning's command line, in turns."""
    commands = {
        "litzoo --help": [sys.executable, "-m", "litzoo", "--help"],
        "import lightning.pytorch.cli": [sys.executable, "-c", "import lightning.pytorch.cli"],
    }
    start = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
    return in_turns({name: partial(start, command) for name, command in commands.items()}, repeats)


def table(result: dict) -> str:
    """Writes the measurements as text with two tables."""
    rows = []
    for name, ways in result["samples_per_second"].items():
        median = {way: statistics.median(values) for way, values in ways.items()}
        fractions = [ours / limit for ours, limit in zip(ways["litzoo"], ways["limit"], strict=True)]
        per_sample = median["per_sample"]
        rows.append(
            [
                name,
                *(f"{median[way]:,.0f}" for way in WAYS),
                f"{statistics.median(fractions):.2f} ({min(fractions):.2f} to {max(fractions):.2f})",
                f"{median['litzoo'] / per_sample:.1f} ×",
                f"{median['litzoo'] / median['per_sample_lightning']:.1f} ×",
            ]
        )
    header = ["training samples per second", "limit", "`litzoo fit`", "per-sample", "per-sample in Lightning"]
    header += ["of the limit, pair by pair (range)", "vs per-sample", "vs per-sample in Lightning"]
    help_time, import_time = (statistics.median(values) for values in result["start_up_seconds"].values())
    return (
        f"{shown(result)}; medians of "
        f"{result['repeats']} interleaved runs of one epoch of {result['samples']:,} MNIST digits.\n\n"
        + markdown_table(header, rows)
        + f"\n\n`litzoo --help` takes {help_time:.1f} s, importing Lightning's command line alone {import_time:.1f} s: "
        f"{help_time / import_time:.2f} ×."
    )


def main() -> None:
    """Measures, prints, and writes if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=rounds, default=5, help="counted runs of each way (default: 5)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    pl.seed_everything(0, verbose=False)
    rates = measure(arguments.repeats)
    result = {
        **circumstances(),
        "repeats": arguments.repeats,
        "samples": SAMPLES,
        "samples_per_second": rates,
        "start_up_seconds": start_up(arguments.repeats),
    }
    print(table(result))
    if arguments.write:
        publish("benchmark", result, table(result))


if __name__ == "__main__":
    main()
