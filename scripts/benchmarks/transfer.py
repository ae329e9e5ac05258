"""Measures the training speed of a `TransferClassifier`: whole network, head only, and head with cached features.

Usage: python -m litzoo.scripts.benchmarks.transfer [--rounds 7] [--write]

A step is that of the module: forward, loss, training metrics, backward, optimizer. The images have the size of CIFAR's.
The weights are random, which does not change the speed.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from litzoo.callbacks.training._network_stages import parameter_groups, train_last_stages
from litzoo.lit_modules import TransferClassifier
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark, time_interleaved
from litzoo.scripts.tables import markdown_table

SHAPE, NUM_CLASSES = (3, 32, 32), 10
BATCH_SIZE = 64
STEPS = 2
"""Steps of one kind in each round."""
EPOCHS = 10
"""Length of the training with cached features, whose first epoch computes them."""
NETWORKS = ("resnet18", "vgg16")
WHOLE, HEAD, FILL, CACHED = "whole", "head", "fill", "cached"
"""What is timed: steps of the whole network and of the head, filling the cache, and steps of the head that use it."""


def step_function(network: str, kind: str) -> Callable[[], None]:
    """Returns a function that takes one step of this kind."""
    sgd = partial(torch.optim.SGD, lr=0.001, momentum=0.9)
    module: Any = TransferClassifier(SHAPE, NUM_CLASSES, network=network, channels_last=True, optimizer=sgd)
    module.net.to(memory_format=torch.channels_last)
    stages = module.stages()
    optimizer = module.make_optimizer(parameter_groups(module, stages, 1.0))
    train_last_stages(stages, len(stages) if kind == WHOLE else 1)
    index = torch.arange(BATCH_SIZE)
    batch: Any = {"input": torch.randn(BATCH_SIZE, *SHAPE), "target": index % NUM_CLASSES, "index": index}

    def fill_cache() -> None:
        with torch.no_grad():
            module.cache_features(index, module.net.features(module.prepare_input(batch["input"])))

    def step() -> None:
        loss = module.training_step(batch, 0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    if kind == CACHED:
        fill_cache()
    return fill_cache if kind == FILL else step


def measure_network(network: str, rounds: int) -> dict[str, list[float]]:
    """Measures the seconds of a step: kind -> one number per round."""
    steps = {kind: step_function(network, kind) for kind in (WHOLE, HEAD, FILL, CACHED)}
    actions = {kind: lambda step=step: [step() for _ in range(STEPS)] for kind, step in steps.items()}
    return {kind: [each / STEPS for each in times] for kind, times in time_interleaved(actions, rounds).items()}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures all networks."""
    seconds = {network: measure_network(network, arguments.rounds) for network in NETWORKS}
    return {"batch_size": BATCH_SIZE, "seconds": seconds}


def seconds_per_step(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    """Returns the average seconds of a step over a training: row of the table -> one number per round."""
    cached = [fill / EPOCHS + head for fill, head in zip(seconds[FILL], seconds[CACHED], strict=True)]
    return {
        "the whole network": seconds[WHOLE],
        "the head, features computed at every step": seconds[HEAD],
        f"the head, features computed once in {EPOCHS} epochs": cached,
    }


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    rows = []
    for network, seconds in result["seconds"].items():
        whole, *_ = trained = seconds_per_step(seconds)
        for name, times in trained.items():
            speed_up = "" if name == whole else format_ratio(trained[whole], times)
            rate = result["batch_size"] / statistics.median(times)
            rows.append([f"`{network}`", name, f"{rate:,.0f}", speed_up])
    header = ["network", "trained", "samples per second", "speed-up over the whole network, median (quartiles)"]
    return (
        f"3×32×32 images, batch {result['batch_size']}, SGD with momentum. {format_environment(result)}; medians of "
        f"{result['rounds']} interleaved rounds of {STEPS} steps.\n\n{markdown_table(header, rows)}"
    )


if __name__ == "__main__":
    run_benchmark("benchmark_transfer", __doc__, 7, measure, table)
