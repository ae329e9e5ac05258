"""Measures what unknown-class (out-of-distribution) detection adds to a test run, for a CNN on MNIST.

Usage: python -m litzoo.scripts.benchmarks.unknown.cost [--rounds 7] [--write]

It times `litzoo test` without the start of the program: loading the checkpoint and the data, forward passes, metrics
and figures, in seconds of the processor. It also measures the memory that nearest neighbors of 60,000 samples with 128
features take.
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
import time
from collections.abc import Callable
from typing import Any

import torch

from litzoo.callbacks.unknown import MaxLogit, UnknownClassDetector
from litzoo.callbacks.unknown import scores as unknown_scores
from litzoo.callbacks.unknown.scores import Evidence, NearestNeighbors, UnknownScore
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark, time_interleaved
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table

CONFIG = "configs/mnist_unknown_cnn.yaml"
BASELINE = "no detector"
LOGIT_SCORES = ["MaxSoftmax", "Energy", "Entropy", "GeneralizedEntropy"]
SCORES: dict[str, Callable[[], UnknownScore]] = {
    name: getattr(unknown_scores, name)
    for name in [*LOGIT_SCORES, "NearestNeighbors", "ViM", "Mahalanobis", "RelativeMahalanobis", "ReAct", "OpenMax"]
}
REPORTS: dict[str, list[str] | None] = {
    BASELINE: None,
    "`MaxLogit`": [],
    "... and four other scores of logits": LOGIT_SCORES,
    "... and one of features, `NearestNeighbors`": ["NearestNeighbors"],
    "all eleven scores": list(SCORES),
}
"""Row of the table -> scores that are reported beside the maximum logit."""


def make_tests(folder: str) -> dict[str, Callable[[], object]]:
    """Trains for some steps, fits all scores to all training samples, and returns a test for each row of the table."""
    # fmt: off
    cli = run([
        "fit", "--config", CONFIG, f"--trainer.callbacks={json.dumps(_callbacks())}", "--test_after_fit", "false",
        "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "30", "--trainer.accelerator", "cpu",
        "--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", folder,
    ])
    # fmt: on
    trainer: Any = cli.trainer
    checkpoint = str(cli.run_folder / "checkpoints" / "last.ckpt")
    others = [each for each in trainer.callbacks if not isinstance(each, UnknownClassDetector)]

    def make_test(report: list[str] | None) -> Callable[[], object]:
        def test() -> None:
            added = (
                [] if report is None else [UnknownClassDetector(MaxLogit(), report=[SCORES[each]() for each in report])]
            )
            trainer.callbacks = [*added, *others]
            trainer.test(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, verbose=False)

        return test

    return {name: make_test(report) for name, report in REPORTS.items()}


def _callbacks() -> list[dict[str, Any]]:
    scores = [{"class_path": name} for name in SCORES]
    return [
        {"class_path": "UnknownClassDetector", "init_args": {"score": {"class_path": "MaxLogit"}, "report": scores}}
    ]


def neighbors_memory() -> int:
    """Returns by how many bytes this process grows while it searches the neighbors of 10,000 among 60,000 samples."""
    generator = torch.Generator().manual_seed(0)
    known, new = (torch.randn(rows, 128, generator=generator) for rows in (60_000, 10_000))
    logits, target = torch.zeros(len(known), 10), torch.arange(len(known)) % 10
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score = NearestNeighbors()
    score.fit(Evidence(logits, known), target)
    score(Evidence(logits[: len(new)], new))
    unit = 1 if sys.platform == "darwin" else 1024
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures the memory, and the seconds of a test: row of the table -> one number per round."""
    program = "from litzoo.scripts.benchmarks.unknown.cost import neighbors_memory; print(neighbors_memory())"
    # In a new process, whose peak memory is not that of earlier work.
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        seconds = time_interleaved(make_tests(folder), arguments.rounds, time.process_time)
        return {"neighbors_bytes": int(done.stdout), "seconds": seconds}


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    baseline = result["seconds"][BASELINE]
    rows = []
    for name, times in result["seconds"].items():
        ratio = "" if name == BASELINE else format_ratio(times, baseline)
        rows.append([name, f"{statistics.median(times):.2f} s", ratio])
    header = ["", "test of 10,000 digits", "relative to no detector, median (quartiles)"]
    return (
        f"The CNN of `mnist_unknown_cnn`. {format_environment(result)}; medians of {result['rounds']} interleaved "
        "tests, in seconds of the processor.\n\n"
        + markdown_table(header, rows)
        + "\n\n`NearestNeighbors` of 60,000 samples with 128 features needs at most "
        f"{result['neighbors_bytes'] / 1e6:,.0f} MB in addition to them."
    )


if __name__ == "__main__":
    run_benchmark("benchmark_unknown_classes", __doc__, 7, measure, table)
