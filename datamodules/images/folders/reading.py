"""How the files of an image folder are read: its options, what is measured, and what a checkpoint restores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchvision.transforms import v2

from litzoo.datamodules.dataset import Rows
from litzoo.datamodules.images.photos import EvaluationReader
from litzoo.datamodules.io.decisions import Decisions
from litzoo.datamodules.io.decoding import Range, refusal
from litzoo.datamodules.io.images import (
    DamagedImageError,
    ImageReader,
    ImagesOnDisk,
    read_all,
    require_background,
    require_page,
    require_value_range,
)
from litzoo.datamodules.io.threads import in_threads
from litzoo.datamodules.io.value_range import range_of, spanned, warn_of_range
from litzoo.datamodules.transforms.policies import Choice, steps_of

AUGMENTS: dict[str, Choice] = {"augment": "none", "strong_augment": "strong"}
"""Options of augmentation and their defaults."""
HOW_TO_SKIP = "leave them out with data.corrupt skip"
_DETAIL = 4
"""How many times larger than its small version a JPEG is decoded: its own way of shrinking an image is not Pillow's, by
which the copy in a PNG is shrunk."""


class FolderReading:
    """Reads the files of a folder by one set of rules, for training, evaluation and prediction.

    Args:
        shape: `(C, H, W)` of the images.
        resize: Whether to resize and crop images of another size.
        value_range: Values of more than 8 bits that become 0 and 255; `None` to measure them in the training images.
        background: Colour that transparency is composited on.
        page: Number of the page of files with several; `None` for the first, with a warning.
        transforms: Transforms for evaluation at the original size; `None` if images are resized first.

    Raises:
        ValueError: If a value is impossible; the message names the option.

    Attributes:
        reader: The rules of decoding.
        page_is_chosen: Whether the page is an option.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        resize: bool,
        value_range: Sequence[float] | None,
        background: str | Sequence[int],
        page: int | None,
        transforms: Sequence[v2.Transform] | None = None,
    ) -> None:
        given = require_value_range(value_range)
        self.reader = ImageReader(shape, resize, given, require_background(background), require_page(page))
        self.page_is_chosen = page is not None
        self.range_is_known = self.range_is_given = given is not None
        self.transforms = transforms
        self._ranges: dict[Path, Range | None] = {}

    @property
    def rows(self) -> Any:
        """Reads a file of the folder for evaluation."""
        return self.reader if self.transforms is None else EvaluationReader(self.reader, self.transforms, True)

    @property
    def new(self) -> Any:
        """Reads a new file, of any size, for evaluation."""
        reader = replace(self.reader, resize=True)
        return reader if self.transforms is None else EvaluationReader(reader, self.transforms, True)

    def measure(self, paths: Sequence[Path]) -> None:
        """Measures the range of the values of more than 8 bits in training images."""
        self._use_range(spanned(in_threads(self.range_of, paths)))

    def check_range(self, paths: Sequence[Path], where: str) -> None:
        """Warns if test images of more than 8 bits span another range than the one in use."""
        fix = "set data.value_range to the values that are black and white"
        found = spanned(in_threads(self.range_of, paths))
        warn_of_range(found, self.reader.value_range, where, fix, outside=False)

    def range_of(self, path: Path) -> Range | None:
        """Returns the range of an image of more than 8 bits, measured once; `None` for one of 8 bits."""
        if path not in self._ranges:
            self._ranges[path] = range_of(path, self.reader.page)
        return self._ranges[path]

    def read_all(
        self, paths: Sequence[Path], where: str, limit: float, skip: bool
    ) -> tuple[Rows, list[int], list[str]]:
        """Reads all files once, so that a damaged one is found before training.

        Args:
            paths: Paths of the files.
            where: Name of the set, for messages.
            limit: Bytes up to which the images are kept in memory; more are read from their files when needed.
            skip: Whether to leave out damaged files; otherwise the first one raises.

        Returns:
            The images, the positions of the files that were read, and what had to be decided to read them.
        """
        decisions = Decisions()
        images, kept, _ = read_all(
            paths,
            self.rows,
            keep=torch.Size(self.reader.shape).numel() * len(paths) <= limit,
            skip=skip,
            decisions=decisions,
            how_to_skip=HOW_TO_SKIP,
        )
        rows = ImagesOnDisk([paths[position] for position in kept], self.rows) if images is None else images
        return rows, kept, decisions.report(where, self.reader, self.page_is_chosen)

    def with_damage_in(self, paths: Sequence[Path], error: DamagedImageError) -> DamagedImageError:
        """Adds what cannot be read of another set to an error, so that all damaged files are named at once."""
        *_, problems = read_all(paths, self.rows, keep=False, skip=True)
        return refusal([*error.problems, *problems], error.total + len(paths), HOW_TO_SKIP)

    def restore(self, saved: ImageReader) -> bool:
        """Takes the range of values from a checkpoint unless it is an option; warns about other differences.

        Returns:
            Whether another range was in use.
        """
        for name in ("page", "background", *(["value_range"] if self.range_is_given else [])):
            if (ours := getattr(self.reader, name)) != (theirs := getattr(saved, name)):
                rank_zero_warn(f"data.{name} is {ours}, but the checkpoint was trained with {theirs}")
        if self.range_is_given:
            return False
        changed = self.range_is_known and saved.value_range != self.reader.value_range
        self._use_range(saved.value_range)
        return changed

    def _use_range(self, value_range: tuple[float, float] | None) -> None:
        self.reader, self.range_is_known = replace(self.reader, value_range=value_range), True


class Thumbnails:
    """Reads small versions of images, to find duplicates, with the channels that the network gets.

    Args:
        side: Pixels per side.
        reading: How the images are read. Unless the range of values is known, each image spans its own, since the
            training images are not known yet.
    """

    def __init__(self, side: int, reading: FolderReading) -> None:
        self.reading = reading
        self.shape = (reading.reader.shape[0], side, side)

    def __call__(self, path: Path) -> Tensor:
        """Returns an image, uint8 `[C, side, side]`; a damaged one is black, without contrast like no other."""
        reader = replace(self.reading.reader, shape=self.shape, resize=True)
        if not self.reading.range_is_given:
            reader = replace(reader, value_range=self.reading.range_of(path))
        try:
            return reader.convert(reader.decode(path, _DETAIL * self.shape[1]))
        except DamagedImageError:  # whoever reads it reports the damage
            return torch.zeros(self.shape, dtype=torch.uint8)


def split_augments(options: dict[str, Any]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Splits `augment` and `strong_augment`, which are taken out of the options.

    Returns:
        Option -> the transforms that it begins with, which are applied to photos at their original size; and option ->
        what follows from the first name on, which is applied to batches.
    """
    of_photo: dict[str, list[Any]] = {}
    of_batch: dict[str, Any] = {}
    for name, default in AUGMENTS.items():
        steps = steps_of(f"data.{name}", options.pop(name, default))
        count = next((at for at, step in enumerate(steps) if isinstance(step, str)), len(steps))
        of_photo[name], of_batch[name] = steps[:count], steps[count:] or ["none"]
    return of_photo, of_batch
