"""Images at their original size: read and transformed one by one, in DataLoader workers, to images of one shape."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.io.decoding import formats
from litzoo.datamodules.io.images import ImageReader
from litzoo.datamodules.io.threads import in_threads
from litzoo.datamodules.transforms.plain import rebuild

AT_A_TIME = 16
"""Number of images that are decoded at a time, since those of a whole batch may be large."""
Transforms = Sequence[Callable[[Any], Any]]


class EvaluationReader:
    """Reads image files as evaluation gets them: decoded, transformed, and brought to one shape.

    Args:
        reader: The rules of decoding, and the shape.
        transforms: Transforms of an image, uint8 `[C, h, w]`.
        original_size: Whether they get the image at its original size; else resized and cropped.
    """

    def __init__(self, reader: ImageReader, transforms: Transforms, original_size: bool) -> None:
        self.reader, self.transforms, self.original_size = reader, transforms, original_size

    @classmethod
    def from_state(cls, images: Mapping[str, Any]) -> "EvaluationReader":
        """Returns the reader of a checkpoint, from `images` in the state of its datamodule."""
        transforms = [rebuild(each) for each in images.get("eval_transform", [])]
        return cls(ImageReader.from_state(images["reading"]), transforms, images.get("original_size", False))

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of the images."""
        return self.reader.shape

    def __call__(self, path: Path, notes: set[str] | None = None) -> Tensor:
        """Returns an image, uint8 `[C, H, W]`; raises like `ImageReader`."""
        if not (self.transforms and self.original_size):
            image = self.reader(path, notes)
        else:
            image = at_original_size(self.reader, path, notes)
        for transform in self.transforms:
            image = transform(image)
        return fit(image, self.shape)


class Photos:
    """Image files at their original size, in memory if they fit, else read when needed.

    Args:
        paths: Paths of the files, which are known to be readable.
        reader: The rules of decoding.
        limit: Largest number of bytes of the decoded images up to which they are kept in memory.
    """

    def __init__(self, paths: Sequence[Path], reader: ImageReader, limit: float) -> None:
        self.paths, self.reader = list(paths), reader
        pixels = sum(in_threads(_pixels, self.paths)) if limit else 0
        self.images: list[Tensor] | None = None
        if limit and pixels * reader.shape[0] <= limit:
            self.images = in_threads(lambda path: at_original_size(reader, path), self.paths)

    def read(self, index: Sequence[int]) -> list[Tensor]:
        """Returns images, uint8 `[C, h, w]` each."""
        if self.images is not None:
            return [self.images[position] for position in index]
        return in_threads(lambda position: at_original_size(self.reader, self.paths[position]), index)


class PhotoViews(Dataset[Any]):
    """Training batches of randomly transformed images; what is drawn depends on seed, epoch, view and sample only.

    So batches are the same with any number of workers, and after a resume.

    Args:
        samples: The samples: their indices, targets and so on; their inputs are not used.
        photos: The images of the full training set.
        views: Key in the batch -> transforms of an image, for each view.
    """

    def __init__(self, samples: IndexedDataset, photos: Photos, views: Mapping[str, Transforms]) -> None:
        self.samples, self.photos, self.views = samples, photos, views
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, batch: tuple[int, np.ndarray]) -> dict[str, Tensor]:
        """Returns a batch for the number of the epoch and positions."""
        epoch, positions = batch
        index = self.samples.indices.index_select(0, torch.from_numpy(positions))
        columns = {name: rows for name, rows in self.samples.columns.items() if name != "input"}
        rows = {name: each.index_select(0, index) for name, each in columns.items()}
        shape = self.photos.reader.shape
        rows |= {view: torch.empty(len(index), *shape, dtype=torch.uint8) for view in self.views}
        with torch.random.fork_rng(devices=[]):
            for start in range(0, len(index), AT_A_TIME):
                chosen = index[start : start + AT_A_TIME].tolist()
                for row, (sample, photo) in enumerate(zip(chosen, self.photos.read(chosen), strict=True), start):
                    for number, (view, transforms) in enumerate(self.views.items()):
                        seeds = np.random.SeedSequence([self.seed, epoch, sample, number])
                        torch.default_generator.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> 1))
                        image = photo
                        for transform in transforms:
                            image = transform(image)
                        rows[view][row] = fit(image, shape)
        return {"index": index, **rows}


def at_original_size(reader: ImageReader, path: Path, notes: set[str] | None = None) -> Tensor:
    """Returns an image as decoded, uint8 `[C, h, w]`."""
    pixels = torch.from_numpy(np.array(reader.decode(path, notes=notes)))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def fit(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Resizes an image `[C, h, w]` to cover `(H, W)` and crops it around its centre, unless it has that size."""
    height, width = shape[1:]
    if list(image.shape[1:]) == [height, width]:
        return image
    factor = max(height / image.shape[1], width / image.shape[2])
    size = [max(height, round(image.shape[1] * factor)), max(width, round(image.shape[2] * factor))]
    return v2.functional.center_crop(v2.functional.resize(image, size, antialias=True), [height, width])


def _pixels(path: Path) -> int:
    with Image.open(path, formats=formats()) as file:
        return file.width * file.height
