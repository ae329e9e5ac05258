"""Images with instance masks, and the data set that serves them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.io.decoding import open_image


class AnnotatedImage(NamedTuple):
    """An image with an instance map.

    Attributes:
        image: The image, uint8 `[3, H, W]`.
        instances: Number of the object at each pixel, `[H, W]`, from 1; 0 is the background.
        labels: Class of each object, int64 `[n]`, from 1.
    """

    image: Tensor
    instances: Tensor
    labels: Tensor

    @property
    def masks(self) -> Tensor:
        """Mask of each object, bool `[n, H, W]`."""
        numbers = torch.arange(1, len(self.labels) + 1)
        return self.instances == numbers[:, None, None]


class UnannotatedImages(Sequence[AnnotatedImage]):
    """Images in files without annotations, read on demand.

    Args:
        paths: Paths of the files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: Any) -> Any:
        """Returns an image without objects."""
        image = torch.from_numpy(np.array(open_image(self.paths[position], "RGB"))).permute(2, 0, 1).contiguous()
        nothing = torch.zeros(image.shape[1:], dtype=torch.uint8)
        return AnnotatedImage(image, nothing, torch.zeros(0, dtype=torch.int64))


class SegmentationDataset(IndexedDataset):
    """Selected images of a data set; masks, which need most memory, are created when they are served.

    Args:
        samples: All images. They are not copied.
        indices: Indices of the selected ones, int64 `[n]`; `None` for all.
    """

    def __init__(self, samples: Sequence[AnnotatedImage], indices: Tensor | None = None) -> None:
        self.samples = samples
        self.indices = torch.arange(len(samples)) if indices is None else indices

    def __getitem__(self, position: int | np.ndarray) -> Any:
        """Returns one sample, or a whole batch for an array of positions."""
        if isinstance(position, np.ndarray):
            return super().__getitem__(position)
        batch = self._rows(self.indices[position : position + 1] if position >= 0 else self.indices[[position]])
        return {name: values[0] for name, values in batch.items()}

    def _rows(self, index: Tensor) -> Any:
        samples = [self.samples[position] for position in index.tolist()]
        targets = [{"labels": sample.labels, "masks": sample.masks} for sample in samples]
        return {"index": index, "input": [sample.image for sample in samples], "target": targets}
