"""Writes small folders of images, and creates datamodules that read them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
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


def as_tensor(image: Image.Image) -> torch.Tensor:
    """Turns a Pillow image into uint8 `[C, H, W]`."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
