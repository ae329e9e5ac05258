"""Measures the cost of the data: setup, augmentation, loaders, and memory.

Usage: python -m litzoo.scripts.benchmarks.data [--rounds 5] [--cifar FOLDER] [--write]

It reads MNIST from `LITZOO_DATA_DIR`. With `--cifar` it also measures the memory for reading CIFAR-10 (on Linux).
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torchvision
from lightning.pytorch.utilities import CombinedLoader
from torchvision.transforms import v2

from litzoo.datamodules import (
    LongTailed,
    MNISTDataModule,
    PerSample,
    RandomAffine,
    RandomFlip,
    RandomShift,
    SymmetricNoise,
)
from litzoo.scripts.benchmarks.harness import format_environment, run_benchmark, time_interleaved
from litzoo.scripts.tables import markdown_table

BATCH_SIZES = (128, 256)
EVERY_OPTION: dict[str, Any] = {
    "known_classes": [1, 2, 3, 4, 5, 6, 7],
    "val_size": 5000,
    "train_size": 8000,
    "imbalance": LongTailed(10),
    "num_labeled": 1000,
    "unlabeled_batch_size": 448,
    "label_noise": SymmetricNoise(0.2),
    "noisy_val": True,
    "sampling": "weighted",
}
"""All options that change the split or the sampling, at once."""

PEAK_MEMORY = """
import re, sys
from pathlib import Path
from unittest.mock import patch
from torchvision.datasets import CIFAR10
from litzoo.datamodules import CIFAR10DataModule
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
lists = {name: [[file, None] for file, _ in getattr(CIFAR10, name)] for name in ("train_list", "test_list")}
with patch.multiple(CIFAR10, **lists, meta={**CIFAR10.meta, "md5": None}):  # images from JPEG have other checksums
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak, which the imports have raised
    before = peak()
    if sys.argv[2] == "litzoo":
        datamodule = CIFAR10DataModule(root=sys.argv[1], val_size=5000)
        datamodule.setup("fit")
    else:
        dataset = CIFAR10(sys.argv[1])
print((peak() - before) * 1024)
"""


def setups() -> dict[str, Callable[[], object]]:
    """Returns functions that read MNIST's training set."""
    root = MNISTDataModule().root
    return {
        "torchvision": lambda: torchvision.datasets.MNIST(str(root)),
        "litzoo": lambda: MNISTDataModule(**EVERY_OPTION).setup("fit"),
    }


def augmentations() -> dict[str, dict[str, Callable[[], object]]]:
    """Returns functions that augment a batch of CIFAR's size: augmentation -> library -> function."""
    images = torch.randint(256, (BATCH_SIZES[0], 3, 32, 32), dtype=torch.uint8)
    policies = {
        "AutoAugment for CIFAR-10": v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
        "RandAugment": v2.RandAugment(),
        "TrivialAugment": v2.TrivialAugmentWide(),
        "AugMix": v2.AugMix(),
    }
    pairs: dict[str, tuple[Callable, Callable]] = {
        "shift": (v2.RandomCrop(32, padding=4), RandomShift(4)),
        "crop and flip": (
            v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]),
            v2.Compose([RandomShift(4), RandomFlip()]),
        ),
        "affine": (
            v2.RandomAffine(10, (2 / 28, 2 / 28), (0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR),
            RandomAffine(10, 2 / 28, 0.1),
        ),
        **{name: (policy, PerSample(policy)) for name, policy in policies.items()},
    }

    def both(of_image: Callable, of_batch: Callable) -> dict[str, Callable[[], object]]:
        return {
            "torchvision": lambda: torch.stack([of_image(image) for image in images]),
            "litzoo": lambda: of_batch(images),
        }

    return {name: both(*pair) for name, pair in pairs.items()}


def loaders(batch_size: int) -> dict[str, Callable[[], int]]:
    """Returns functions that iterate over a loader for an epoch and return the number of images: loader -> function."""
    common: dict[str, Any] = {"batch_size": batch_size, "val_size": 5000}
    datamodules = {
        "plain": MNISTDataModule(**common),
        "weighted": MNISTDataModule(sampling="weighted", **common),
        "balanced": MNISTDataModule(sampling="balanced", **common),
        "semi-supervised": MNISTDataModule(num_labeled=1000, unlabeled_batch_size=batch_size, **common),
    }
    epochs: dict[str, Callable[[], int]] = {}
    for name, datamodule in datamodules.items():
        datamodule.setup("fit")
        loader = datamodule.train_dataloader()
        epochs[name] = lambda loader=loader: sum(map(_num_images, _batches(loader)))  # type: ignore[misc]
    return epochs


def _batches(loader: Any) -> Iterator[Any]:
    return (batch for batch, _, _ in loader) if isinstance(loader, CombinedLoader) else iter(loader)


def _num_images(batch: Any) -> int:
    return sum(len(part["index"]) for part in batch.values()) if "labeled" in batch else len(batch["index"])


def peak_memory(cifar: str, library: str) -> int:
    """Returns the peak memory, in bytes, of reading CIFAR-10's training images in a new process."""
    command = [sys.executable, "-c", PEAK_MEMORY, cifar, library]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures seconds (what is timed -> library or loader -> one number per round), images per epoch, and memory."""
    epochs = {f"batch {size}": loaders(size) for size in BATCH_SIZES}
    actions: dict[str, Mapping[str, Callable[[], object]]] = {
        "MNIST setup, with every option": setups(),
        **{f"{name}, batch {BATCH_SIZES[0]}": functions for name, functions in augmentations().items()},
        **epochs,
    }
    result: dict[str, Any] = {
        "seconds": {name: time_interleaved(functions, arguments.rounds) for name, functions in actions.items()},
        "images": {
            name: {loader: epoch() for loader, epoch in functions.items()} for name, functions in epochs.items()
        },
    }
    if arguments.cifar:
        memory = {library: peak_memory(arguments.cifar, library) for library in ("litzoo", "torchvision")}
        result["memory"] = {"uint8": 50_000 * 3 * 32 * 32, **memory}
    return result


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    rows = []
    for name, seconds in result["seconds"].items():
        median = {key: statistics.median(values) for key, values in seconds.items()}
        if "torchvision" in median:
            times = [f"{1000 * median[library]:.1f} ms" for library in ("torchvision", "litzoo")]
            rows.append([name, *times, f"{median['torchvision'] / median['litzoo']:.1f} ×"])
            continue
        rates = {loader: result["images"][name][loader] / time for loader, time in median.items()}
        for loader, rate in rates.items():
            fraction = "" if loader == "plain" else f"{rate / rates['plain']:.2f} of plain"
            rows.append([f"{loader} loader, {name}, images per second", "", f"{rate:,.0f}", fraction])
    if "memory" in result:
        ratios = [result["memory"][library] / result["memory"]["uint8"] for library in ("torchvision", "litzoo")]
        cells = [f"{ratio:.2f} ×" for ratio in ratios]
        rows.append(["CIFAR-10 read, peak memory relative to its uint8 bytes", *cells, "lower is better"])
    header = ["", "torchvision, per image", "litzoo", "speed"]
    return f"{format_environment(result)}; medians of {result['rounds']} interleaved runs.\n\n" + markdown_table(
        header, rows
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--cifar", metavar="FOLDER", help="folder with cifar-10-batches-py, to measure its memory")
    run_benchmark("benchmark_data", __doc__, 5, measure, table, options)
