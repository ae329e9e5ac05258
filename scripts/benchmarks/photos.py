"""Measures how fast large photos are decoded and cropped, against torchvision's ImageFolder, and the memory it takes.

Usage: python -m litzoo.scripts.benchmarks.photos [--rounds 5] [--photos 2000] [--workers 2] [--write]

It makes JPEGs of 500×375 pixels, collages of the images in `LITZOO_DATA_DIR/cifar10`, in a temporary folder. The
memory is measured on Linux.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from litzoo.datamodules import ImageFolderDataModule
from litzoo.datamodules.io.paths import data_root
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark, time_interleaved
from litzoo.scripts.tables import markdown_table

WIDTH, HEIGHT, SIDE, BATCH = 500, 375, 224, 64
TILES = 3
"""Images of a collage on its longer side."""

PEAK_MEMORY = """
import re, sys
from pathlib import Path
from litzoo.scripts.benchmarks.photos import litzoo_loader
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
Path("/proc/self/clear_refs").write_text("5")  # reset the peak, which the imports have raised
before = peak()
loader = litzoo_loader(sys.argv[1], workers=0, memory_limit=float(sys.argv[2]) if sys.argv[2:] else None)
for batch in loader:
    pass
print((peak() - before) * 1024)
"""


def transforms() -> list[v2.Transform]:
    """Returns the usual augmentation of ImageNet."""
    return [v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()]


def write_photos(folder: Path, count: int) -> None:
    """Writes `<folder>/train/{a,b}/<number>.jpg` and four test images; raises FileNotFoundError without sources."""
    sources = sorted((data_root(None) / "cifar10" / "train").glob("*/*.jpg"))
    if not sources:
        raise FileNotFoundError(f"{data_root(None)}/cifar10/train has no class folders of JPEGs; set LITZOO_DATA_DIR")
    random = np.random.RandomState(0)
    tile = -(-WIDTH // TILES)
    for number in range(count + 4):
        photo = Image.new("RGB", (WIDTH, HEIGHT))
        for place in range(TILES * TILES):
            with Image.open(sources[random.randint(len(sources))]) as source:
                piece = source.convert("RGB").resize((tile, tile), Image.Resampling.BICUBIC)
            photo.paste(piece, (place % TILES * tile, place // TILES * tile))
        part = "train" if number < count else "test"
        path = folder / part / "ab"[number % 2] / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.save(path, quality=90)


def litzoo_loader(folder: str, workers: int, memory_limit: float | None) -> Any:
    """Returns litzoo's loader of training batches."""
    datamodule = ImageFolderDataModule(
        "photos",
        root=folder,
        size=SIDE,
        original_size=True,
        augment=transforms(),
        val_size=0,
        num_workers=workers,
        memory_limit=memory_limit,
        batch_size=BATCH,
    )
    datamodule.setup("fit")
    return datamodule.train_dataloader()


def torchvision_loader(folder: str, workers: int) -> Any:
    """Returns a loader of torchvision's ImageFolder with the same transforms."""
    dataset = ImageFolder(str(Path(folder) / "photos" / "train"), v2.Compose([*transforms(), v2.PILToTensor()]))
    return DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def _epoch(loader: Any) -> Callable[[], int]:
    return lambda: sum(len(batch["input"] if isinstance(batch, dict) else batch[0]) for batch in loader)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures seconds per epoch of each loader, one number per round, and the memory of one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder) / "photos", arguments.photos)
        actions = {
            "torchvision": _epoch(torchvision_loader(folder, arguments.workers)),
            "from files": _epoch(litzoo_loader(folder, arguments.workers, memory_limit=0.0)),
            "in memory": _epoch(litzoo_loader(folder, arguments.workers, memory_limit=4.0)),
        }
        seconds = time_interleaved(actions, arguments.rounds)
        del actions
        memory = {arguments.photos: _memory(folder, "0")}
        by_default = _memory(folder)
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder) / "photos", arguments.photos // 4)
        memory[arguments.photos // 4] = _memory(folder, "0")
    sizes = {"photos": arguments.photos, "workers": arguments.workers}
    return {"seconds": seconds, **sizes, "memory": memory, "memory_by_default": by_default}


def _memory(folder: str, *limit: str) -> int:
    command = [sys.executable, "-c", PEAK_MEMORY, folder, *limit]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    baseline = result["seconds"]["torchvision"]
    rows = [
        [
            "torchvision's `ImageFolder`" if name == "torchvision" else f"litzoo, {name}",
            f"{result['photos'] / statistics.median(times):,.0f}",
            "" if name == "torchvision" else format_ratio(baseline, times),
        ]
        for name, times in result["seconds"].items()
    ]
    memory = ", ".join(f"{size / 2**20:,.0f} MiB for {int(count):,}" for count, size in result["memory"].items())
    return (
        f"{format_environment(result)}; {result['photos']:,} JPEGs of {WIDTH}×{HEIGHT}, `RandomResizedCrop({SIDE})` "
        f"and `RandomHorizontalFlip`, {result['workers']} workers, {result['rounds']} interleaved rounds.\n\n"
        + markdown_table(["loader", "images per second", "speed (quartiles)"], rows)
        + f"\n\nPeak memory of an epoch from files, without workers, beyond the imports: {memory} photos; with "
        f"the default `memory_limit` {result['memory_by_default'] / 2**20:,.0f} MiB for {result['photos']:,}."
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--photos", type=int, default=2000, help="number of photos (default: 2000)")
    options.add_argument("--workers", type=int, default=2, help="DataLoader workers (default: 2)")
    torch.set_num_threads(1)
    run_benchmark("benchmark_photos", __doc__, 5, measure, table, options)
