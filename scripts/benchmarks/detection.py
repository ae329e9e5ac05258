"""Measures what telling unknown classes costs a test run: interleaved tests of a CNN on MNIST, medians, one table.

Usage: python -m litzoo.scripts.benchmarks.detection [--repeats 7] [--write]

A test is all that `litzoo test` does after the program has started: checkpoint, data, forward passes, metrics, figures.
The last line is the memory that nearest neighbours of 60,000 samples with 128 features take on top. `--write` puts the
table into docs/performance.md.
"""

import argparse
import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch

from litzoo.callbacks.unknown.scores import Evidence, NearestNeighbors
from litzoo.scripts.benchmarks.report import circumstances, in_proportion, in_turns, publish, rounds, shown
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table

CONFIG = "configs/mnist_unknown_cnn.yaml"
PLAIN = "no detector"
LOGITS = ["MaxSoftmax", "Energy", "Entropy", "GeneralizedEntropy"]
FEATURES = ["NearestNeighbors", "ViM", "Mahalanobis"]
REPORTS: dict[str, list[str] | None] = {
    PLAIN: None,
    "`MaxLogit`": [],
    "... and four other scores of logits": LOGITS,
    "... and one of features, `NearestNeighbors`": ["NearestNeighbors"],
    "all nine scores": [*LOGITS, *FEATURES, "OpenMax"],
}
"""What is measured: name -> the scores that are reported beside the largest logit."""


def detector(report: list[str] | None) -> list[dict[str, Any]]:
    """Returns the callbacks of a config."""
    if report is None:
        return []
    others = [{"class_path": f"litzoo.{name}"} for name in report]
    score = {"class_path": "MaxLogit"}
    return [{"class_path": "UnknownClassDetector", "init_args": {"score": score, "report": others}}]


def tester(report: list[str] | None, folder: str) -> Callable[[], object]:
    """Trains for some steps, fits the scores to all training samples, and returns a test of the checkpoint."""
    # fmt: off
    built = run([
        "fit", "--config", CONFIG, f"--trainer.callbacks={json.dumps(detector(report))}", "--test_after_fit", "false",
        "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "60", "--trainer.accelerator", "cpu",
        "--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", folder,
    ])
    # fmt: on
    checkpoint: Any = built.trainer.checkpoint_callback
    return lambda: built.trainer.test(
        built.model, datamodule=built.datamodule, ckpt_path=checkpoint.best_model_path, verbose=False
    )


def measure(repeats: int) -> dict[str, list[float]]:
    """Tests with the detectors in turns.

    Returns:
        Seconds of a test, name -> one number for each repeat.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        return in_turns({name: tester(report, folder) for name, report in REPORTS.items()}, repeats)


def neighbours_memory() -> int:
    """Returns the bytes that this process grows by while it finds neighbours of 10,000 samples among 60,000."""
    generator = torch.Generator().manual_seed(0)
    known, new = (torch.randn(rows, 128, generator=generator) for rows in (60_000, 10_000))
    logits, target = torch.zeros(len(known), 10), torch.arange(len(known)) % 10
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score = NearestNeighbors()
    score.fit(Evidence(logits, known), target)
    score(Evidence(logits[: len(new)], new))
    unit = 1 if sys.platform == "darwin" else 1024
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def table(result: dict[str, Any]) -> str:
    """Writes the measurements as text with one table."""
    plain = result["seconds"][PLAIN]
    rows = []
    for name, times in result["seconds"].items():
        spread = "" if name == PLAIN else in_proportion(times, plain)
        rows.append([name, f"{statistics.median(times):.2f} s", spread])
    header = ["", "a test of 10,000 digits", "of one without detector, round by round: median (quartiles)"]
    return (
        f"The CNN of `mnist_unknown_cnn`. {shown(result)}; medians of {result['repeats']} interleaved tests.\n\n"
        + markdown_table(header, rows)
        + "\n\n`NearestNeighbors` of 60,000 samples with 128 features takes "
        f"{result['neighbours_bytes'] / 1e6:,.0f} MB on top of them at its peak."
    )


def main() -> None:
    """Measures, prints, and writes if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=rounds, default=7, help="counted tests of each kind (default: 7)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(neighbours_memory())
        return
    pl.seed_everything(0, verbose=False)
    alone = [
        sys.executable,
        "-m",
        "litzoo.scripts.benchmarks.detection",
        "--memory",
    ]  # no memory of others to grow into
    result = {
        **circumstances(),
        "repeats": arguments.repeats,
        "neighbours_bytes": int(subprocess.run(alone, check=True, capture_output=True, text=True).stdout),
        "seconds": measure(arguments.repeats),
    }
    print(table(result))
    if arguments.write:
        publish("benchmark_detection", result, table(result))


if __name__ == "__main__":
    main()
