"""Reads image files: one by one, all into memory, or on demand."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from rich.progress import Progress
from torch import Tensor

from litzoo.datamodules.io.decisions import Decisions
from litzoo.datamodules.io.decoding import DamagedImageError, Range, convert, decode, refusal
from litzoo.datamodules.io.threads import in_threads

PROGRESS_BAR_FROM = 2000
"""Number of images from which on a progress bar is shown."""
CHUNK = 1000
"""Largest number of images that are read at a time: those of all files at once would double the memory."""
CHUNK_BYTES = 2**25
"""Largest size of the images that are read at a time, unless these are fewer than `LEAST_CHUNK`."""
LEAST_CHUNK = 16
LEAST_AREA = 0.5
"""Fraction of an image below which what the crop leaves is a decision to report."""


@dataclass(frozen=True)
class ImageReader:
    """Reads image files as uint8 tensors of one shape: the rules of decoding, as plain values that checkpoints keep.

    Args:
        shape: `(C, H, W)`; one channel is grey, three are red, green and blue.
        resize: Whether to resize and centre-crop images of another size to `(H, W)`; else they raise an error.
        value_range: Values that become 0 and 255 in images of more than 8 bits per channel. Without it, 16 bits are
            divided by 257, and other depths raise an error.
        background: Red, green and blue, 0 to 255, of the colour that transparency is composited on.
        page: Number of the page of files with several, from 0.
    """

    shape: tuple[int, int, int]
    resize: bool
    value_range: Range | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    page: int = 0

    def __call__(self, path: Path, notes: set[str] | None = None) -> Tensor:
        """Returns an image, uint8 `[C, H, W]`, with the orientation in its EXIF data applied.

        Args:
            path: Path of the file.
            notes: The names of decisions are added, see `Decisions`.

        Raises:
            DamagedImageError: If the file is not an image, or damaged; the message names it.
            ValueError: If it has another size.
        """
        _, height, width = self.shape
        # The larger side, since the image may have to be rotated.
        image = self.decode(path, max(height, width) if self.resize else None, notes)
        if image.size != (width, height) and not self.resize:
            raise ValueError(
                f"{path} has {image.size[1]}×{image.size[0]} pixels, other images {height}×{width}: set data.size "
                "to resize all images"
            )
        if notes is not None and _cropped_to(image.size, (width, height)) < LEAST_AREA:
            notes.add("cropped")
        return self._as_tensor(image)

    read = __call__

    def convert(self, image: Image.Image, resize: bool = True) -> Tensor:
        """Returns an image in memory, of any size and mode, as if it were read from a file: uint8 `[C, H, W]`.

        Without `resize`, it keeps its own height and width.
        """
        mode = "L" if self.shape[0] == 1 else "RGB"
        return self._as_tensor(convert(image, mode, self.value_range, self.background), resize)

    def _as_tensor(self, image: Image.Image, resize: bool = True) -> Tensor:
        channels, height, width = self.shape
        if resize and image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).view(image.height, image.width, channels).permute(2, 0, 1)

    def decode(self, path: Path, needed: int | None = None, notes: set[str] | None = None) -> Image.Image:
        """Returns an image at its own size, in Pillow's mode `L` or `RGB`.

        Args:
            path: Path of the file.
            needed: Pixels per side that are sufficient: larger JPEGs are decoded at a reduced size.
            notes: The names of decisions are added, see `Decisions`.
        """
        mode = "L" if self.shape[0] == 1 else "RGB"
        notes = set() if notes is None else notes
        return decode(path, mode, notes, needed, self.value_range, self.background, self.page)

    def state(self) -> dict[str, Any]:
        """Returns the rules as plain numbers and lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "ImageReader":
        """Returns the reader whose `state` this is."""
        values: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in state.items()}
        return cls(**values)


def _cropped_to(size: tuple[int, int], wanted: tuple[int, int]) -> float:
    """Returns the fraction of an image's area that is left when it is cropped to the shape of another size."""
    ratio = size[0] * wanted[1] / (size[1] * wanted[0])
    return min(ratio, 1 / ratio)


def chunk_of(shape: Sequence[int]) -> int:
    """Returns how many images `(C, H, W)` to read at a time."""
    return min(CHUNK, max(LEAST_CHUNK, CHUNK_BYTES // max(1, int(np.prod(shape)))))


def require_value_range(value_range: Sequence[float] | None) -> Range | None:
    """Returns `data.value_range` as two numbers; raises ValueError if they are no range."""
    if value_range is None:
        return None
    if len(value_range) != 2 or not -np.inf < value_range[0] < value_range[1] < np.inf:
        raise ValueError(
            f"data.value_range: {list(value_range)} is no range; give two numbers, the values that become black and "
            "white, such as [0, 4095], or leave it out to measure them in the training images"
        )
    return float(value_range[0]), float(value_range[1])


def require_background(colour: str | Sequence[int]) -> tuple[int, int, int]:
    """Returns `data.background` as red, green and blue; raises ValueError if it is no colour."""
    try:
        red, green, blue = (ImageColor.getrgb(colour) if isinstance(colour, str) else tuple(colour))[:3]
    except ValueError:
        red = green = blue = -1
    if not all(isinstance(value, int) and 0 <= value <= 255 for value in (red, green, blue)):
        raise ValueError(
            f"data.background: {colour!r} is no colour; give a name such as white, #rrggbb, or three numbers from 0 to "
            "255"
        )
    return red, green, blue


def require_page(page: int | None) -> int:
    """Returns the number of the page that `data.page` says, 0 for `None`; raises ValueError if it is negative."""
    if page is not None and page < 0:
        raise ValueError(f"data.page: {page} is no number of a page; give 0 for the first, 1 for the second, ...")
    return page or 0


class ImagesOnDisk:
    """Images in files, read on demand by several threads; can be indexed like a tensor `[N, C, H, W]`.

    Args:
        paths: Paths of the `N` files.
        reader: Reader of a single file, with the `shape` of its images.
    """

    def __init__(self, paths: Sequence[Path], reader: Any) -> None:
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
    paths: Sequence[Path],
    reader: Any,
    keep: bool,
    skip: bool,
    decisions: Decisions | None = None,
    how_to_skip: str = "",
) -> tuple[Tensor | None, list[int], list[str]]:
    """Reads every image once, with a progress bar if there are many.

    Args:
        paths: Paths of the `N` files.
        reader: Reader of a single file, such as an `ImageReader`.
        keep: Whether to return the images; else they are only checked.
        skip: Whether to skip damaged files; else they raise an error.
        decisions: The decisions about each file are added.
        how_to_skip: How a user has damaged files skipped, for the message.

    Returns:
        The images, uint8 `[n, C, H, W]`, or `None`; the positions of the readable files; and the error messages of the
        others.

    Raises:
        DamagedImageError: If files cannot be read and `skip` is false; it names up to ten.
        ValueError: If an image differs in size and is not to be resized.
    """

    def attempt(path: Path) -> Tensor | DamagedImageError:
        notes: set[str] = set()
        try:
            image = reader(path, notes)
        except DamagedImageError as error:
            return error
        if decisions is not None:
            decisions.add(path, notes)
        return image

    images = torch.empty(len(paths), *reader.shape, dtype=torch.uint8) if keep else None
    positions: list[int] = []
    problems: list[str] = []
    with Progress(transient=True, disable=len(paths) < PROGRESS_BAR_FROM) as progress:
        bar = progress.add_task("Reading images", total=len(paths))
        chunk = chunk_of(reader.shape)
        for start in range(0, len(paths), chunk):
            for position, image in enumerate(in_threads(attempt, paths[start : start + chunk]), start):
                progress.advance(bar)
                if isinstance(image, DamagedImageError):
                    problems.append(str(image))
                    continue
                if images is not None:
                    images[len(positions)] = image
                positions.append(position)
    if problems and not skip:
        raise refusal(problems, len(paths), how_to_skip)
    return None if images is None else images[: len(positions)], positions, problems
