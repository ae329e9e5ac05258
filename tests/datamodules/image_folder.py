"""Writes small folders of images, and creates datamodules that read them."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image

from litzoo.datamodules import ImageFolderDataModule


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Draws an image, uint8 `[H, W, C]`, or `[H, W]` of one channel."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def save(path: Path | str, image: np.ndarray | Image.Image, **options: Any) -> Path:
    """Writes an image in the format of the suffix, and creates its parent folders."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def write_class(folder: Path | str, count: int, side: int = 6, seed: int = 0) -> list[Path]:
    """Writes `<folder>/<number>.png`, `count` different images."""
    return [save(Path(folder) / f"{i:03}.png", noise(side, side, seed=seed + i)) for i in range(count)]


def write_pets(folder: str = "pets", train: int = 20, test: int = 4, side: int = 6, seed: int = 0) -> Path:
    """Writes cats and dogs in `<folder>/{train,test}/<class>/<number>.png`."""
    for number, (part, name, count) in enumerate(
        [("train", "cat", train), ("train", "dog", train), ("test", "cat", test), ("test", "dog", test)]
    ):
        write_class(Path(folder) / part / name, count, side, seed=10000 * seed + 1000 * number)
    return Path(folder)


def folder_data(folder: str = "pets", **options: Any) -> ImageFolderDataModule:
    """Returns the datamodule of a folder in the current one."""
    return ImageFolderDataModule(folder, **({"root": ".", "val_size": 0.2} | options))


def write_table(folder: Path) -> None:
    """Writes `labels.csv`, which says what the folders say: `<folder>/[<part>/]<class>/<name>`."""
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*.png"))]
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "split"][: len(files[0].parts)])
        writer.writerows([[path.as_posix(), path.parts[-2], *path.parts[:-2]] for path in files])


def part_by_content(folder: Path | str, table: bool = False, **options: Any) -> dict[bytes, str]:
    """Returns content of a file -> its part.

    Args:
        folder: Folder of the images.
        table: Whether a CSV file says which class, and perhaps part, each is of.
        **options: Options of the datamodule.
    """
    if table:
        write_table(Path(folder))
        options["labels_file"] = "labels.csv"
    datamodule = folder_data(str(folder), **options)
    datamodule.find_split()
    datamodule.read(train=False)
    assert datamodule.split is not None
    files = datamodule.files
    names = {part: [files["train"][i] for i in indices] for part, indices in datamodule.split.parts().items()}
    names["test"] = files["test"]
    return {Path(folder, name).read_bytes(): part for part, each in names.items() for name in each}


def change_at_random(folder: Path, classes: Sequence[str], most: int, data: st.DataObject) -> None:
    """Adds, removes, renames and relabels images, all drawn by hypothesis.

    Args:
        folder: Folder of the images, in class folders, perhaps within folders of parts.
        classes: Names of the classes.
        most: Largest number of changes.
        data: What draws.
    """
    files = sorted(folder.rglob("*.png"))
    for path in data.draw(st.lists(st.sampled_from(files), unique=True, max_size=most)):
        action = data.draw(st.sampled_from(["remove", "rename", "relabel", "add"]))
        if action == "remove":
            path.unlink()
        elif action == "rename":
            path.rename(path.with_name(f"{data.draw(st.integers(0, 9))}-{path.name}"))
        elif action == "relabel":
            other = path.parents[1] / data.draw(st.sampled_from(classes))
            path.rename(other / f"moved {path.parent.name} {path.name}")
        else:
            save(path.with_name(f"new {path.name}"), noise(6, 6, seed=data.draw(st.integers(10**6, 10**7))))


def as_tensor(image: Image.Image) -> torch.Tensor:
    """Turns a Pillow image into uint8 `[C, H, W]`."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
