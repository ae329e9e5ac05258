"""Measures how many samples a second train with a borrowed network: interleaved steps, medians, one table.

Usage: python -m litzoo.scripts.benchmarks.transfer [--rounds 7] [--write]

A step is the module's own: forward, loss, training metrics, backward, optimizer; images have the size of CIFAR's. The
networks know nothing, which makes them neither faster nor slower. `--write` puts the table into docs/performance.md.
"""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from litzoo.callbacks.training._network_stages import parameter_groups, train_last_stages
from litzoo.lit_modules import TransferClassifier
from litzoo.scripts.benchmarks.report import in_proportion, in_turns, run_in_rounds, shown
from litzoo.scripts.tables import markdown_table

SHAPE, CLASSES = (3, 32, 32), 10
BATCH_SIZE = 64
STEPS = 2
"""Of one way to train before it is the next one's turn."""
EPOCHS = 10
NETWORKS = ("resnet18", "vgg16")
WHOLE, HEAD, FILL, CACHED = "whole", "head", "fill", "cached"


def stepper(network: str, way: str) -> Callable[[], None]:
    """Builds a module, ready to train in one of the ways, and returns its training step."""
    sgd = partial(torch.optim.SGD, lr=0.001, momentum=0.9)
    module: Any = TransferClassifier(SHAPE, CLASSES, network=network, channels_last=True, optimizer=sgd)
    module.net.to(memory_format=torch.channels_last)
    stages = module.stages()
    optimizer = module.make_optimizer(parameter_groups(module, stages, 1.0))
    train_last_stages(stages, len(stages) if way == WHOLE else 1)
    index = torch.arange(BATCH_SIZE)
    batch: Any = {"input": torch.randn(BATCH_SIZE, *SHAPE), "target": index % CLASSES, "index": index}

    def fill() -> None:
        with torch.no_grad():
            module.cache_features(index, module.net.features(module.prepare_input(batch["input"])))

    def step() -> None:
        loss = module.training_step(batch, 0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    if way == CACHED:
        fill()
    return fill if way == FILL else step


def measure(network: str, rounds: int) -> dict[str, list[float]]:
    """Takes steps in turns.

    Returns:
        Seconds of a step, way -> one number for each round.
    """
    steps = {way: stepper(network, way) for way in (WHOLE, HEAD, FILL, CACHED)}
    turns = {way: lambda step=step: [step() for _ in range(STEPS)] for way, step in steps.items()}
    return {way: [each / STEPS for each in times] for way, times in in_turns(turns, rounds).items()}


def training(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    """Returns what a step takes on average over a training, way -> seconds, one number for each round."""
    cached = [fill / EPOCHS + head for fill, head in zip(seconds[FILL], seconds[CACHED], strict=True)]
    return {
        "the whole network": seconds[WHOLE],
        "the head, features computed at every step": seconds[HEAD],
        f"the head, features computed once in {EPOCHS} epochs": cached,
    }


def table(result: dict[str, Any]) -> str:
    """Writes the measurements as text with one table."""
    rows = []
    for network, seconds in result["seconds"].items():
        whole, *_ = ways = training(seconds)
        for way, times in ways.items():
            speed = "" if way == whole else in_proportion(ways[whole], times)
            rows.append([f"`{network}`", way, f"{result['batch_size'] / statistics.median(times):,.0f}", speed])
    header = ["network", "what is trained", "samples per second", "of the whole network's, round by round (quartiles)"]
    text = markdown_table(header, rows)
    return (
        f"3×32×32 images, batch {result['batch_size']}, SGD with momentum. {shown(result)}; medians of "
        f"{result['rounds']} interleaved rounds of {STEPS} steps.\n\n{text}"
    )


def main() -> None:
    """Measures, prints, and writes if asked."""

    def measured(rounds: int) -> dict[str, Any]:
        return {"batch_size": BATCH_SIZE, "seconds": {network: measure(network, rounds) for network in NETWORKS}}

    run_in_rounds("benchmark_transfer", __doc__, 7, measured, table)


if __name__ == "__main__":
    main()
