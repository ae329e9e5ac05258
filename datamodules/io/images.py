"""Images read from files: one by one, all into memory, or whenever they are asked for."""

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
SHOWS_PROGRESS = 2000  # images; reading fewer takes a moment
AT_ONCE = 1000
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What a file may hold, whatever its name: PostScript, for one, is a program, and Pillow would have it run."""


class DamagedImageError(ValueError):
    """A file that cannot be read as an image."""


def open_image(path: Path, mode: str | None, needed: int | None = None) -> Image.Image:
    """Decodes an image file, turned as its camera noted.

    Args:
        path: Of the file.
        mode: Pillow's name of what it is converted to; `None` leaves it as it is.
        needed: Pixels a side that are enough: a large JPEG is then decoded at half its size or less.

    Raises:
        DamagedImageError: If the file is no image, or a damaged one; the message names it.
    """
    try:
        require_file(path)
        with Image.open(path, formats=FORMATS) as file:
            if needed is not None:
                file.draft(mode, (needed, needed))
            image = ImageOps.exif_transpose(file)
            if mode is None:
                return image
            return _of_8_bits(image).convert(mode)
    except Exception as error:
        raise DamagedImageError(f"{path} cannot be read as an image: {str(error) or type(error).__name__}") from error


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Scales 16 bits to 8, which Pillow would cut off."""
    if not image.mode.startswith(("I", "F")):
        return image
    levels = np.asarray(image)
    if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() > 65535:
        raise ValueError("it holds numbers other than whole ones from 0 to 65535; save it with 8 or 16 bits")
    return Image.fromarray((levels / 257).round().astype(np.uint8))


class ImageReader:
    """Reads an image file, as uint8 of one shape.

    Args:
        shape: `(C, H, W)`; one channel is grey, three are red, green and blue.
        resize: Whether an image of another size is scaled and cut to `(H, W)` around its centre; else it is refused.
    """

    def __init__(self, shape: tuple[int, int, int], resize: bool) -> None:
        self.shape, self.resize = shape, resize

    def __call__(self, path: Path) -> Tensor:
        """Returns an image, uint8 `[C, H, W]`, turned as its camera noted.

        Raises:
            DamagedImageError: If the file is no image, or a damaged one; the message names it.
            ValueError: If it has another size.
        """
        channels, height, width = self.shape
        # Of both sides, since the image may have to be turned.
        image = open_image(path, "L" if channels == 1 else "RGB", max(height, width) if self.resize else None)
        if image.size != (width, height):
            if not self.resize:
                raise ValueError(
                    f"{path} has {image.size[1]}×{image.size[0]} pixels, other images {height}×{width}: give the "
                    "size that all shall have with data.size"
                )
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).view(height, width, channels).permute(2, 0, 1)


class ImagesOnDisk:
    """Rows that are images in files, read by several threads whenever they are asked for.

    Args:
        paths: Of the files, `N`.
        reader: Of one file.
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
        paths: Of the files, `N`.
        reader: Of one file.
        keep: Whether the images stay in memory; else they are only checked.
        skip: Whether damaged files are left out.

    Returns:
        The images, uint8 `[n, C, H, W]`, if they are kept; the positions of the files that could be read; and what
        is wrong with the others.

    Raises:
        DamagedImageError: If a file cannot be read and is not to be left out.
        ValueError: If an image has another size than the others.
    """

    def attempt(path: Path) -> Tensor | DamagedImageError:
        try:
            return reader(path)
        except DamagedImageError as error:
            return error

    images = torch.empty(len(paths), *reader.shape, dtype=torch.uint8) if keep else None
    positions: list[int] = []
    problems: list[str] = []
    with Progress(transient=True, disable=len(paths) < SHOWS_PROGRESS) as progress:
        bar = progress.add_task("Reading images", total=len(paths))
        for start in range(0, len(paths), AT_ONCE):  # all at once would pile up in memory
            for position, image in enumerate(in_threads(attempt, paths[start : start + AT_ONCE]), start):
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
    """Returns what `read` makes of each source, in order; decoding does not hold Python's lock.

    Not a generator: one that is abandoned half-way is closed by the garbage collector at any moment, and must not hold
    threads then.
    """
    return list(_threads().map(read, sources))


@cache
def _threads() -> ThreadPoolExecutor:
    """Returns the threads of this process, which end with it."""
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1), "reader")


# The threads of a process are not in its forks, such as DataLoader workers.
os.register_at_fork(after_in_child=_threads.cache_clear)
