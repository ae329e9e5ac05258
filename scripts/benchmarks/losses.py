"""Measures what a training step costs with each loss: interleaved steps of a CNN on MNIST, medians, one table.

Usage: python -m litzoo.scripts.benchmarks.losses [--rounds 30] [--write]

A step is the module's own: forward, loss, training metrics, backward, optimizer. `--write` puts the table into
docs/performance.md.
"""

import statistics
import tempfile
from collections.abc import Callable
from itertools import islice
from typing import Any

import torch

from litzoo.datamodules import MNISTDataModule
from litzoo.datamodules.batch import Batch
from litzoo.lit_modules import losses
from litzoo.scripts.benchmarks.report import in_proportion, in_turns, run_in_rounds, shown
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table

BATCH_SIZE = 128
STEPS = 4
"""Of one loss before it is the next one's turn."""

CNN = "configs/mnist_cnn.yaml"
PLAIN = "cross-entropy"
OPTIONS = {
    "ForwardCorrection": ["--model.loss.warm_up=1"],  # the epoch of the estimate
    "WeightedCrossEntropy": ["--data.class_weighting=inverse"],
}
COSTS: dict[str, tuple[str, list[str]]] = {
    PLAIN: (CNN, []),
    **{
        name: (CNN, [f"--model.loss=lit_modules.{name}", *OPTIONS.get(name, [])])
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
"""What is measured: name -> config, further options of `litzoo fit`."""


def stepper(config: str, options: list[str], folder: str) -> Callable[[Batch], object]:
    """Builds a module as the command does, ready to train, and returns its training step."""
    # fmt: off
    built = run([
        "fit", "--config", config, *options, "--test_after_fit", "false", "--trainer.max_epochs", "0",
        "--trainer.accelerator", "cpu", "--trainer.default_root_dir", folder,
    ])
    # fmt: on
    module: Any = built.model
    module.train()
    optimizer = module.make_optimizer(module.parameters())

    def step(batch: Batch) -> None:
        loss = module.training_step(batch, 0)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(rounds: int) -> dict[str, list[float]]:
    """Takes steps with the losses in turns.

    Returns:
        Seconds of a step, name -> one number for each round.
    """
    with tempfile.TemporaryDirectory() as folder:
        steps = {name: stepper(config, options, folder) for name, (config, options) in COSTS.items()}
        datamodule = MNISTDataModule(batch_size=BATCH_SIZE)
        datamodule.setup("fit")
        loader = islice(datamodule.train_dataloader(), STEPS)
        batches: list[Any] = [datamodule.on_after_batch_transfer(batch, 0) for batch in loader]
        turns = {name: lambda step=step: list(map(step, batches)) for name, step in steps.items()}
        seconds = in_turns(turns, rounds)
    return {name: [each / STEPS for each in times] for name, times in seconds.items()}


def table(result: dict[str, Any]) -> str:
    """Writes the measurements as text with one table."""
    plain = result["seconds"][PLAIN]
    rows = []
    for name, times in result["seconds"].items():
        spread = "" if name == PLAIN else in_proportion(times, plain)
        rows.append([name if name == PLAIN else f"`{name}`", f"{1000 * statistics.median(times):.1f} ms", spread])
    header = ["", "a training step", "of cross-entropy's, round by round: median (quartiles)"]
    return (
        f"The CNN of `mnist_cnn`, batch {result['batch_size']}. {shown(result)}; medians of "
        f"{result['rounds']} interleaved rounds of {STEPS} steps.\n\n" + markdown_table(header, rows)
    )


def main() -> None:
    """Measures, prints, and writes if asked."""

    def measured(rounds: int) -> dict[str, Any]:
        return {"batch_size": BATCH_SIZE, "seconds": measure(rounds)}

    run_in_rounds("benchmark_losses", __doc__, 30, measured, table)


if __name__ == "__main__":
    main()
