"""Measures the training steps of the CNN of `cifar10_fast` in both precisions on this machine's CPU.

Usage: python -m litzoo.scripts.benchmarks.precision [--rounds 5] [--write]

No data are needed: it trains on noise of the shape of CIFAR-10.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from litzoo.lit_modules.mixed_precision import emulates_bf16
from litzoo.lit_modules.networks.whitened_cnn import WhitenedCNN
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark, time_interleaved
from litzoo.scripts.tables import markdown_table

BATCH, WIDTHS = 100, (32, 96, 192)
PRECISIONS = {"32-true": False, "bf16-mixed": True}
"""Precision of Lightning -> whether the forward pass is in bf16."""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures seconds of a training step in each precision."""
    net = WhitenedCNN((3, 32, 32), 10, WIDTHS).to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (BATCH,))

    def step(in_bf16: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            logits = net(images)
        F.cross_entropy(logits.float(), labels).backward()

    actions: dict[str, Callable[[], object]] = {name: partial(step, in_bf16) for name, in_bf16 in PRECISIONS.items()}
    return {"emulated": emulates_bf16(), "seconds": time_interleaved(actions, arguments.rounds)}


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    base = result["seconds"]["32-true"]
    rows = []
    for name, seconds in result["seconds"].items():
        speed = f"{BATCH / statistics.median(seconds):,.0f}"
        rows.append([f"`{name}`", speed, "" if seconds is base else format_ratio(base, seconds)])
    header = ["precision", "images a second", "speed-up over `32-true`, median (quartiles)"]
    has = "has no instructions for bf16" if result["emulated"] else "has instructions for bf16"
    return f"{markdown_table(header, rows)}\n\n{format_environment(result)}; this CPU {has}."


if __name__ == "__main__":
    run_benchmark("benchmark_precision", __doc__, 5, measure, table)
