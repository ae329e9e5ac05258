"""Reads image files: one by one, all into memory, or on demand."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.progress import Progress
from torch import Tensor

from litzoo.datamodules.io.paths import require_file

T = TypeVar("T")
Source = TypeVar("Source")
PROGRESS_BAR_FROM = 2000
"""Number of images from which on a progress bar is shown."""
CHUNK = 1000
"""Number of images that are read at a time: those of all files at once would double the memory."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Accepted file contents, whatever the file name; others are unsafe: Pillow would execute PostScript, for example."""


class DamagedImageError(ValueError):
    """A file that cannot be read as an image."""


def open_image(path: Path, mode: str | None, needed: int | None = None) -> Image.Image:
    """Decodes an image file, with the orientation in its EXIF data applied.

    Args:
        path: Path of the file.
        mode: Pillow mode to convert to; `None` for no conversion.
        needed: Pixels per side that are sufficient: larger JPEGs are decoded at a reduced size.

    Raises:
        DamagedImageError: If the file is not an image, or damaged; the message names it.
    """
    try:
        require_file(path)
        with Image.open(path, formats=FORMATS) as file:
            if needed is not None:
                file.draft(mode, (needed, needed))
            image = ImageOps.exif_transpose(file)
            if mode is None:
                return image
            return _to_8_bits(image).convert(mode)
    except Exception as error:
        raise DamagedImageError(f"{path} cannot be read as an image: {str(error) or type(error).__name__}") from error


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scales 16 bits per channel to 8; Pillow would clip the values."""
    if not image.mode.startswith(("I", "F")):
        return image
    levels = np.asarray(image)
    if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() > 65535:
        raise ValueError("it holds values other than integers from 0 to 65535; save it with 8 or 16 bits")
    return Image.fromarray((levels / 257).round().astype(np.uint8))


class ImageReader:
    """Reads image files as uint8 tensors of one shape.

    Args:
        shape: `(C, H, W)`; one channel is grey, three are red, green and blue.
        resize: Whether to resize and centre-crop images of another size to `(H, W)`; else they raise an error.
    """

    def __init__(self, shape: tuple[int, int, int], resize: bool) -> None:
        self.shape, self.resize = shape, resize

    def __call__(self, path: Path) -> Tensor:
        """Returns an image, uint8 `[C, H, W]`, with the orientation in its EXIF data applied.

        Raises:
            DamagedImageError: If the file is not an image, or damaged; the message names it.
            ValueError: If it has another size.
        """
        channels, height, width = self.shape
        # The larger side, since the image may have to be rotated.
        image = open_image(path, "L" if channels == 1 else "RGB", max(height, width) if self.resize else None)
        if image.size != (width, height):
            if not self.resize:
                raise ValueError(
                    f"{path} has {image.size[1]}×{image.size[0]} pixels, other images {height}×{width}: set data.size "
                    "to resize all images"
                )
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).view(height, width, channels).permute(2, 0, 1)


class ImagesOnDisk:
    """Images in files, read on demand by several threads; can be indexed like a tensor `[N, C, H, W]`.

    Args:
        paths: Paths of the `N` files.
        reader: Reader of a single file.
    """

    def __init__(self, paths: Sequence[Path], reader: ImageReader) -> None:
        self.paths, self.reader = list(paths), reader

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Returns the image at a scalar index, uint8 `[C, H, W]`, or those at an index `[n]`."""
        return self.reader(self.paths[int(index)]) if index.ndim == 0 else self.index_select(0, index)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Returns images, uint8 `[n, C, H, W]`."""
        images = torch.empty(len(index), *self.reader.shape, dtype=torch.uint8)
        for row, image in enumerate(in_threads(self.reader, [self.paths[position] for position in index.tolist()])):
            images[row] = image
        return images


def read_all(
    paths: Sequence[Path], reader: ImageReader, keep: bool, skip: bool
) -> tuple[Tensor | None, list[int], list[str]]:
    """Reads every image once, with a progress bar if there are many.

    Args:
        paths: Paths of the `N` files.
        reader: Reader of a single file.
        keep: Whether to return the images; else they are only checked.
        skip: Whether to skip damaged files; else they raise an error.

    Returns:
        The images, uint8 `[n, C, H, W]`, or `None`; the positions of the readable files; and the error messages of the
        others.

    Raises:
        DamagedImageError: If a file cannot be read and `skip` is false.
        ValueError: If an image differs in size and is not to be resized.
    """

    def attempt(path: Path) -> Tensor | DamagedImageError:
        try:
            return reader(path)
        except DamagedImageError as error:
            return error

    images = torch.empty(len(paths), *reader.shape, dtype=torch.uint8) if keep else None
    positions: list[int] = []
    problems: list[str] = []
    with Progress(transient=True, disable=len(paths) < PROGRESS_BAR_FROM) as progress:
        bar = progress.add_task("Reading images", total=len(paths))
        for start in range(0, len(paths), CHUNK):
            for position, image in enumerate(in_threads(attempt, paths[start : start + CHUNK]), start):
                progress.advance(bar)
                if isinstance(image, DamagedImageError):
                    if not skip:
                        raise image
                    problems.append(str(image))
                    continue
                if images is not None:
                    images[len(positions)] = image
                positions.append(position)
    return None if images is None else images[: len(positions)], positions, problems


def in_threads(read: Callable[[Source], T], sources: Sequence[Source]) -> list[T]:
    """Applies `read` to each source in parallel and returns the results in order; decoding releases the GIL.

    Returns a list, since a generator that is not exhausted is closed by the garbage collector at any moment, when it
    must not wait for threads.
    """
    return list(_threads().map(read, sources))


@cache
def _threads() -> ThreadPoolExecutor:
    """Returns the thread pool of this process."""
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1), "reader")


# Forks, such as DataLoader workers, do not inherit threads.
os.register_at_fork(after_in_child=_threads.cache_clear)
