"""Measures the training speed of `litzoo fit --config cifar10_fast`, and of a bare loop that trains the same network.

Usage: python -m litzoo.scripts.benchmarks.cifar [--rounds 5] [--samples 10000] [--write]

- limit: a bare loop over normalised images in memory, without augmentation, logging, metrics or weight averaging;
- litzoo: the command without augmentation; augmented: as the config is; compiled: with `--model.compile true`, in the
  second epoch, since the first one compiles.
"""

import argparse
import statistics
import tempfile
from typing import Any

import torch

from litzoo.datamodules import CIFAR10DataModule
from litzoo.lit_modules.mixed_precision import emulates_bf16
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark
from litzoo.scripts.benchmarks.training_loops import bare_epoch, epoch_seconds
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table

LOOPS = {
    "limit": "a bare loop",
    "litzoo": "`litzoo fit` without augmentation",
    "augmented": "`litzoo fit`",
    "compiled": "`litzoo fit` with `--model.compile true`",
}


class CIFARLoops:
    """The loops; each method trains an epoch of the same number of images and returns its seconds.

    Args:
        samples: Training images.
        folder: Folder of the runs.
    """

    def __init__(self, samples: int, folder: str) -> None:
        # fmt: off
        self.arguments = [
            "fit", "--config", "cifar10_fast", "--data.train_size", str(samples), "--data.val_size", "0",
            "--test_after_fit", "false", "--trainer.accelerator", "cpu", "--trainer.default_root_dir", folder,
        ]
        # fmt: on
        cli = self._fit("--trainer.max_epochs=0")
        datamodule = cli.datamodule
        assert isinstance(datamodule, CIFAR10DataModule)
        datamodule.setup("fit")
        train = datamodule.train_set
        assert train is not None
        self.model: Any = cli.model
        self.model.net.whitening.fit(datamodule.normalise(train.inputs[train.indices[:1000]]))
        self.inputs = datamodule.normalise(train.inputs[train.indices])
        self.targets, self.batch_size = train.targets[train.indices], datamodule.batch_size
        self.num_samples = len(self.targets) // self.batch_size * self.batch_size  # the rest is dropped

    def limit(self) -> float:
        """A bare loop over tensors in memory."""
        batches = torch.randperm(len(self.targets))[: self.num_samples].split(self.batch_size)
        loaded = ((self.inputs.index_select(0, each), self.targets.index_select(0, each)) for each in batches)
        optimizer = torch.optim.SGD(self.model.net.parameters(), 0.01, 0.85, nesterov=True, weight_decay=0.001)
        return bare_epoch(self.model, optimizer, loaded, not emulates_bf16(), self.model.loss)

    def litzoo(self) -> float:
        """`litzoo fit` without augmentation."""
        return epoch_seconds(self._fit("--trainer.max_epochs=1", "--data.augment=none").trainer)

    def augmented(self) -> float:
        """`litzoo fit`."""
        return epoch_seconds(self._fit("--trainer.max_epochs=1").trainer)

    def compiled(self) -> float:
        """`litzoo fit` with a compiled network."""
        return epoch_seconds(self._fit("--trainer.max_epochs=2", "--model.compile=true").trainer)

    def _fit(self, *options: str) -> LitzooCLI:
        timer = "--trainer.callbacks+=litzoo.scripts.benchmarks.training_loops.EpochTimer"
        return run([*self.arguments, *options, timer])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures images per second: loop -> one number per round, after one round that warms up."""
    with tempfile.TemporaryDirectory() as folder:
        loops = CIFARLoops(arguments.samples, folder)
        rates: dict[str, list[float]] = {loop: [] for loop in LOOPS}
        for _ in range(arguments.rounds + 1):
            for loop in LOOPS:
                rates[loop].append(loops.num_samples / getattr(loops, loop)())
    return {"samples": loops.num_samples, "images_per_second": {loop: values[1:] for loop, values in rates.items()}}


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    rates = result["images_per_second"]
    rows = [
        [
            name,
            f"{statistics.median(rates[loop]):,.0f}",
            "" if loop == "limit" else format_ratio(rates[loop], rates["limit"]),
            format_ratio(rates[loop], rates["litzoo"]) if loop in ("augmented", "compiled") else "",
        ]
        for loop, name in LOOPS.items()
    ]
    header = ["`cifar10_fast`", "images per second", "relative to the bare loop", "relative to no augmentation"]
    return (
        f"{format_environment(result)}; medians (ratios with quartiles) of {result['rounds']} interleaved rounds "
        f"of one epoch of {result['samples']:,} images.\n\n{markdown_table(header, rows)}"
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--samples", type=int, default=10_000, help="training images of an epoch (default: 10000)")
    run_benchmark("benchmark_cifar", __doc__, 5, measure, table, options)
