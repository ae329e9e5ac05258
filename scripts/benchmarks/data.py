"""Measures what the data cost: set-up, memory, augmentation, loaders; interleaved runs, medians, one table.

Usage: python -m litzoo.scripts.benchmarks.data [--repeats 5] [--cifar FOLDER] [--write]

It reads MNIST from `LITZOO_DATA_DIR`. CIFAR-10's memory is measured, on Linux, where `--cifar` names the folder that
holds `cifar-10-batches-py`. `--write` puts the table into docs/performance.md.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
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
from litzoo.scripts.benchmarks.report import circumstances, in_turns, publish, rounds, shown
from litzoo.scripts.tables import markdown_table

BATCHES = (128, 256)
EVERYTHING: dict[str, Any] = {
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
"""Every option of the split at once."""

PEAK_MEMORY = """
import re, sys
from pathlib import Path
from unittest.mock import patch
from torchvision.datasets import CIFAR10
from datamodules import CIFAR10DataModule
def height():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
lists = {name: [[file, None] for file, _ in getattr(CIFAR10, name)] for name in ("train_list", "test_list")}
with patch.multiple(CIFAR10, **lists, meta={**CIFAR10.meta, "md5": None}):  # images from JPEG have other checksums
    Path("/proc/self/clear_refs").write_text("5")  # forget the height of the import
    before = height()
    if sys.argv[2] == "litzoo":
        datamodule = CIFAR10DataModule(root=sys.argv[1], val_size=5000)
        datamodule.setup("fit")
    else:
        dataset = CIFAR10(sys.argv[1])
print((height() - before) * 1024)
"""


def set_up() -> dict[str, Callable[[], object]]:
    """Returns ways to get MNIST's training set ready."""
    root = MNISTDataModule().root
    return {
        "torchvision": lambda: torchvision.datasets.MNIST(str(root)),
        "litzoo": lambda: MNISTDataModule(**EVERYTHING).setup("fit"),
    }


def augmentations() -> dict[str, dict[str, Callable[[], object]]]:
    """Returns ways to augment a batch of CIFAR's size, sample by sample and as a whole."""
    images = torch.randint(256, (BATCHES[0], 3, 32, 32), dtype=torch.uint8)
    pairs: dict[str, tuple[Callable, Callable]] = {
        "shift": (RandomShift(4), v2.RandomCrop(32, padding=4)),
        "crop and flip": (
            v2.Compose([RandomShift(4), RandomFlip()]),
            v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]),
        ),
        "affine": (
            RandomAffine(10, 2 / 28, 0.1),
            v2.RandomAffine(10, (2 / 28, 2 / 28), (0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR),
        ),
    }

    policies = {
        "AutoAugment for CIFAR-10": v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
        "RandAugment": v2.RandAugment(),
        "TrivialAugment": v2.TrivialAugmentWide(),
        "AugMix": v2.AugMix(),
    }
    pairs |= {name: (PerSample(policy), policy) for name, policy in policies.items()}

    def both(whole: Callable, single: Callable) -> dict[str, Callable[[], object]]:
        return {
            "torchvision": lambda: torch.stack([single(image) for image in images]),
            "litzoo": lambda: whole(images),
        }

    return {name: both(*pair) for name, pair in pairs.items()}


def loaders(batch_size: int) -> dict[str, Callable[[], int]]:
    """Returns loaders to run through for an epoch, and what each returns: how many images it served."""
    common: dict[str, Any] = {"batch_size": batch_size, "val_size": 5000}
    datamodules = {
        "plain": MNISTDataModule(**common),
        "weighted": MNISTDataModule(sampling="weighted", **common),
        "balanced": MNISTDataModule(sampling="balanced", **common),
        "semi-supervised": MNISTDataModule(num_labeled=1000, unlabeled_batch_size=batch_size, **common),
    }
    served: dict[str, Callable[[], int]] = {}
    for name, datamodule in datamodules.items():
        datamodule.setup("fit")
        loader = datamodule.train_dataloader()
        served[name] = lambda loader=loader: sum(_images(batch) for batch in _batches(loader))  # type: ignore[misc]
    return served


def _batches(loader: Any) -> Any:
    return (batch for batch, _, _ in loader) if isinstance(loader, CombinedLoader) else loader


def _images(batch: Any) -> int:
    return sum(len(part["index"]) for part in batch.values()) if "labeled" in batch else len(batch["index"])


def peak_memory(cifar: str, reader: str) -> int:
    """Returns the bytes that reading CIFAR-10's training images takes at its height, in a process of its own."""
    command = [sys.executable, "-c", PEAK_MEMORY, cifar, reader]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def table(result: dict) -> str:
    """Writes the measurements as text with one table."""
    median = {
        name: {way: statistics.median(values) for way, values in ways.items()}
        for name, ways in result["seconds"].items()
    }
    rows = []
    for name, ways in median.items():
        if "torchvision" in ways:
            ratio = ways["torchvision"] / ways["litzoo"]
            rows.append([name, *(f"{1000 * ways[way]:.1f} ms" for way in ("torchvision", "litzoo")), f"{ratio:.1f} ×"])
            continue
        rates = {kind: result["served"][name][kind] / time for kind, time in ways.items()}
        for kind, rate in rates.items():
            fraction = "" if kind == "plain" else f"{rate / rates['plain']:.2f} of plain"
            rows.append([f"{kind} loader, {name}, images per second", "", f"{rate:,.0f}", fraction])
    if "memory" in result:
        raw = result["memory"]["uint8"]
        ours, theirs = (result["memory"][reader] / raw for reader in ("litzoo", "torchvision"))
        rows.append(
            [
                "CIFAR-10 read, peak memory against its uint8 bytes",
                f"{theirs:.2f} ×",
                f"{ours:.2f} ×",
                "lower is better",
            ]
        )
    header = ["", "torchvision, one by one", "litzoo", "speed"]
    return f"{shown(result)}; medians of {result['repeats']} interleaved runs.\n\n" + markdown_table(header, rows)


def main() -> None:
    """Measures, prints, and writes if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=rounds, default=5, help="counted runs of each way (default: 5)")
    parser.add_argument("--cifar", help="folder that holds cifar-10-batches-py")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    serving = {f"batch {size}": loaders(size) for size in BATCHES}
    result: dict[str, Any] = {
        **circumstances(),
        "repeats": arguments.repeats,
        "seconds": {
            "MNIST set up, with every option": in_turns(set_up(), arguments.repeats),
            **{
                f"{name}, batch {BATCHES[0]}": in_turns(ways, arguments.repeats)
                for name, ways in augmentations().items()
            },
            **{name: in_turns(kinds, arguments.repeats) for name, kinds in serving.items()},
        },
        "served": {name: {kind: serve() for kind, serve in kinds.items()} for name, kinds in serving.items()},
    }
    if arguments.cifar:
        memory = {reader: peak_memory(arguments.cifar, reader) for reader in ("litzoo", "torchvision")}
        result["memory"] = {"uint8": 50_000 * 3 * 32 * 32, **memory}
    print(table(result))
    if arguments.write:
        publish("benchmark_data", result, table(result))


if __name__ == "__main__":
    main()
