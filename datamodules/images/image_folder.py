"""Images in one folder per class, and the statistics of their channels."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from PIL import Image, ImageOps
from torch import Tensor

from litzoo.datamodules.dataset import Rows
from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.io.class_folders import class_names_in, images_in
from litzoo.datamodules.io.decisions import Decisions
from litzoo.datamodules.io.decoding import Range, formats
from litzoo.datamodules.io.images import (
    ImageReader,
    ImagesOnDisk,
    read_all,
    require_background,
    require_page,
    require_value_range,
)
from litzoo.datamodules.io.paths import data_root, require_file, require_within
from litzoo.datamodules.io.value_range import measured_range
from litzoo.datamodules.splits.core import hold_out

STATISTICS_IMAGES = 5000
"""Images that mean and standard deviation are computed from, at most about so many."""


def channel_statistics(images: Rows, indices: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Computes mean and standard deviation of each channel, exactly, from a histogram of the 256 levels.

    Args:
        images: Rows of uint8 `[C, H, W]`.
        indices: Indices of the images to use, int64 `[n]`.

    Returns:
        Mean and standard deviation of each channel, on a scale from 0 to 1; the standard deviation of a constant
        channel is returned as 1.
    """
    counts = torch.zeros(0, 256, dtype=torch.int64)
    for chunk in indices.split(1000):
        channels = images.index_select(0, chunk).transpose(0, 1).flatten(1)
        histogram = torch.stack([torch.bincount(channel, minlength=256) for channel in channels])
        counts = histogram if not len(counts) else counts + histogram
    fractions = counts.double() / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = fractions @ levels
    std = (fractions @ levels**2 - mean**2).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(value or 1.0 for value in std.tolist())


class ImageFolderDataModule(ImageDataModule):
    """Images in one folder per class: `<folder>/{train,test}/<class>/*.jpg`, or `<folder>/<class>/*.jpg`.

    Reads what Pillow can decode, by content and not by name, also from folders within class folders; hidden files are
    ignored, others that are no images are left out and named. What had to be decided to read the images, such as a
    background for transparent ones, is logged with its count. Without
    `train` and `test`, a fifth of the images is held out for testing, independently of the seed. Every file is read
    once before training, so that a damaged one cannot interrupt a run. Mean and standard deviation of the channels are
    those of the training images (of about 5,000 if there are more) and are stored in checkpoints.

    Args:
        folder: Folder within `root`; symbolic links in it must stay within `root`.
        size: Height and width that images are resized and centre-cropped to; one number for both. If `null`, all
            images must have the size of the first one.
        grey: Whether to read images with one channel; else with three.
        corrupt: `refuse` raises for a file that cannot be read, `skip` leaves it out with a warning.
        memory_limit: Largest size of the images in GiB, per part and process, up to which they are kept in memory;
            larger sets are read from their files when they are served, which `num_workers` speeds up.
        value_range: Values that become black and white in images of more than 8 bits per channel (16 bits, or
            floating point), such as `[0, 4095]`; by default the smallest and largest value in the training images.
        background: Colour that transparent images are composited on: a name, `#rrggbb`, or red, green and blue.
        page: Number of the page to read of files with several, from 0; by default the first one, with a warning.
        root: See `BaseDataModule`.
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it has fewer than two class folders, one of them is empty, a path leads out of `root`, images
            differ in size and no size is given, or an image cannot be read and `corrupt` is `refuse`.
    """

    split_by = (*ImageDataModule.split_by, "folder", "corrupt")

    def __init__(
        self,
        folder: str,
        size: int | tuple[int, int] | None = None,
        grey: bool = False,
        corrupt: Literal["refuse", "skip"] = "refuse",
        memory_limit: float = 4.0,
        value_range: tuple[float, float] | None = None,
        background: str | tuple[int, int, int] = "white",
        page: int | None = None,
        root: str | None = None,
        **options: Any,
    ) -> None:
        if corrupt not in ("refuse", "skip"):
            raise ValueError(f"data.corrupt: {corrupt!r} is not one of refuse, skip")
        if not memory_limit >= 0:
            raise ValueError(f"data.memory_limit: {memory_limit} GiB is not a limit; give 0 to keep no image in memory")
        if not folder:
            raise ValueError("data.folder: is empty; name a folder that holds class folders")
        self.corrupt, self.memory_limit = corrupt, memory_limit
        self.root = data_root(root)
        self.folder = self.root / folder
        require_within(self.folder, self.root)
        self.left_out: dict[str, list[str]] = {}
        parts = [name for name in ("train", "test") if (self.folder / name).is_dir()]
        if len(parts) == 1:
            raise ValueError(f"{self.folder} has a folder {parts[0]}: it needs train and test, or class folders only")
        self.has_parts = bool(parts)
        self.class_names = self.file_class_names = class_names_in(self._part(train=True), self.root)
        height, width = self._first_size() if size is None else (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise ValueError(f"data.size: {size} is too small; give at least 1 pixel")
        self.input_shape = (1 if grey else 3, height, width)
        self.page, self.value_range = page, value_range
        self.reader = ImageReader(
            self.input_shape,
            size is not None,
            require_value_range(value_range),
            require_background(background),
            require_page(page),
        )
        self._range_is_known = value_range is not None
        self.decisions: dict[str, list[str]] = {}
        super().__init__(root=root, **options)

    def read(self, train: bool) -> tuple[Rows, Tensor]:
        """Returns all images of the training or test set, in memory or read on demand, and their labels."""
        self._measure_value_range()
        paths, labels = self._files(train)
        decisions = Decisions()
        needed = torch.Size(self.input_shape).numel() * len(paths)
        in_memory = needed <= self.memory_limit * 2**30
        images, kept, _ = read_all(paths, self.reader, keep=in_memory, skip=self.corrupt == "skip", decisions=decisions)
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        if unreadable := [names[position] for position in sorted(set(range(len(names))) - set(kept))]:
            self.left_out["train" if train else "test"] = unreadable
            named = ", ".join(unreadable[:10]) + (" and others, listed in splits.json" if unreadable[10:] else "")
            rank_zero_warn(
                f"{len(unreadable)} of {len(names)} files are left out: {named} (unreadable, in {self.folder})"
            )
        if texts := decisions.report(self._part(train), self.reader, self.page is not None):
            self.decisions["train" if train else "test"] = texts
        if lost := set(labels.tolist()) - set(labels[kept].tolist()):
            name = self.file_class_names[min(lost)]
            raise ValueError(f"{self.folder}: no image of class {name!r} can be read; repair or remove it")
        self.files["train" if train else "test"] = [names[position] for position in kept]
        rows = ImagesOnDisk([paths[position] for position in kept], self.reader) if images is None else images
        return rows, labels[kept]

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set; opens images only if damaged ones are to be left out."""
        if self.corrupt == "skip":
            return self.read(train=True)[1]
        paths, labels = self._files(train=True)
        self.files["train"] = [path.relative_to(self.folder).as_posix() for path in paths]
        return labels

    def identity(self) -> dict[str, Tensor]:
        """Returns the names of the training files: an index with another file is another sample."""
        return {"names": torch.frombuffer(bytearray(os.fsencode("\n".join(self.files["train"]))), dtype=torch.uint8)}

    def split_report(self) -> dict[str, Any]:
        """Adds the names of the files that were left out, and how others were decoded where there was a choice."""
        found = {"left_out": self.left_out, "decoded": self.decisions}
        return super().split_report() | {name: value for name, value in found.items() if value}

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; fitting reads the test set too, to find damage before training."""
        super().setup(stage)
        if stage == "fit":
            super().setup("test")
        if self.train_set is not None and not hasattr(self, "mean"):
            indices = self.train_set.indices
            step = -(-len(indices) // STATISTICS_IMAGES)
            self.mean, self.std = channel_statistics(self.train_set.inputs, indices[::step])

    def normalise(self, images: Tensor) -> Tensor:
        """Converts images from 0...255 to float32, normalised as `scale` says."""
        if self.scale == "standard" and not hasattr(self, "mean"):
            self.setup("fit")  # a test without a checkpoint computes the statistics here
        return super().normalise(images)

    def state_dict(self) -> dict[str, Any]:
        """Adds mean and standard deviation of the channels."""
        measured = {"mean": self.mean, "std": self.std} if hasattr(self, "mean") else {}
        return super().state_dict() | measured

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the range of values, mean and standard deviation of the training that the checkpoint is from."""
        if "images" in state_dict:
            self._restore_reading(ImageReader.from_state(state_dict["images"]["reading"]))
        super().load_state_dict(state_dict)
        if "mean" in state_dict:
            self.mean, self.std = tuple(state_dict["mean"]), tuple(state_dict["std"])
            self._scaling = None

    @property
    def reading(self) -> ImageReader:
        """The rules by which new image files are decoded, resized and cropped."""
        return replace(self.reader, resize=True)

    def _measure_value_range(self) -> None:
        if not self._range_is_known:
            found = measured_range(self._files(train=True)[0], self.reader.page)
            self._use_value_range(found)

    def _use_value_range(self, value_range: Range | None) -> None:
        self.reader, self._range_is_known = replace(self.reader, value_range=value_range), True

    def _restore_reading(self, saved: ImageReader) -> None:
        """Takes the range of values from a checkpoint unless it is an option; warns about other differences."""
        options = ("page", "background", *(["value_range"] if self.value_range is not None else []))
        for name in options:
            if (ours := getattr(self.reader, name)) != (theirs := getattr(saved, name)):
                rank_zero_warn(f"data.{name} is {ours}, but the checkpoint was trained with {theirs}")
        if self.value_range is not None:
            return
        changed = self._range_is_known and saved.value_range != self.reader.value_range
        self._use_value_range(saved.value_range)
        if self.new_set is not None and isinstance(self.new_set.inputs, ImagesOnDisk):
            self.new_set.inputs.reader = self.reading
        if changed:  # what has been read is scaled by another range
            stages = {"fit": self.train_set, "test": self.test_set}
            self.train_set = self.val_set = self.unlabeled_set = self.test_set = None
            for stage in [stage for stage, part in stages.items() if part is not None]:
                super().setup(stage)

    def _part(self, train: bool) -> Path:
        return self.folder / ("train" if train else "test") if self.has_parts else self.folder

    def _files(self, train: bool) -> tuple[list[Path], Tensor]:
        """Lists the files of the training or test set, ordered by class and name, and their labels."""
        part = self._part(train)
        names = self.file_class_names
        if extra := set(class_names_in(part, self.root, least=2 if train else 1)) - set(names):
            raise ValueError(
                f"{part} has class folders that the training set does not have: {', '.join(sorted(extra))}; put "
                "unknown classes into a separate folder and name it in data.unknowns"
            )
        others: list[Path] = []
        by_class = [images_in(part / name, self.root, others) for name in names]
        self._report_others(part, others)
        empty = [name for name, paths in zip(names, by_class, strict=True) if not paths]
        if empty and (train or len(empty) == len(by_class)):
            raise ValueError(f"{part}: no image in the class folder {', '.join(empty)}; fill or remove it")
        paths = [path for paths in by_class for path in paths]
        labels = torch.tensor([label for label, paths in enumerate(by_class) for _ in paths])
        if not self.has_parts:
            chosen = hold_out(labels, fraction=0.2)[0 if train else 1]
            paths, labels = [paths[position] for position in chosen.tolist()], labels[chosen]
        return paths, labels

    def _report_others(self, part: Path, others: list[Path]) -> None:
        key = f"{part.name} (no images)"
        if others and key not in self.left_out:
            names = self.left_out[key] = [path.relative_to(part).as_posix() for path in others]
            named = ", ".join(names[:10]) + (" and others, listed in splits.json" if names[10:] else "")
            rank_zero_warn(f"{part}: {len(names)} files that are no images are left out: {named}")

    def _first_size(self) -> tuple[int, int]:
        first = self._files(train=True)[0][0]
        try:
            require_file(first)
            with Image.open(first, formats=formats()) as file:
                image = ImageOps.exif_transpose(file)
        except Exception as error:
            raise ValueError(f"{first} cannot be read as an image: {error}; remove it, or set data.size") from error
        return image.height, image.width
