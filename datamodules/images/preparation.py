"""How images of any kind become inputs of a network, as plain values that travel in checkpoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from litzoo.datamodules.images.photos import EvaluationReader, fit
from litzoo.datamodules.io.images import ImageReader
from litzoo.datamodules.transforms.plain import rebuild


class ImagePreparation:
    """Converts image files, Pillow images, arrays and tensors to the size, channels and scale of the training images.

    Args:
        reader: Rules of decoding, resizing and cropping.
        mean: Mean of each channel over the training set, on a scale from 0 to 1.
        std: Standard deviation of each channel likewise.
        transforms: torchvision's transforms, as `data.eval_transform`.
        original_size: Whether they get an image at its original size; else a batch of resized ones.
    """

    def __init__(
        self,
        reader: ImageReader,
        mean: Sequence[float],
        std: Sequence[float],
        transforms: Sequence[v2.Transform] = (),
        original_size: bool = False,
    ) -> None:
        self.reader, self.mean, self.std, self.transforms = reader, tuple(mean), tuple(std), list(transforms)
        self.transforms_originals = bool(original_size and transforms)
        self._scaling: tuple[Tensor, Tensor] | None = None

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "ImagePreparation":
        """Builds it from the entry `images` of an `ImageDataModule`'s state in a checkpoint."""
        transforms = [rebuild(each) for each in state.get("eval_transform", ())]
        reader, original_size = ImageReader.from_state(state["reading"]), state.get("original_size", False)
        return cls(reader, state["mean"], state["std"], transforms, original_size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(C, H, W)` of an input; one channel is grey, three are red, green and blue."""
        return self.reader.shape

    def read(self, path: Path) -> Tensor:
        """Returns the image in a file, uint8 `[C, H, W]`; see `ImageReader`."""
        if self.transforms_originals:
            return EvaluationReader(self.reader, self.transforms, original_size=True)(path)
        return self.reader(path)

    def convert(self, image: Any) -> Tensor:
        """Returns an image in memory as uint8 `[C, H, W]`.

        Args:
            image: A Pillow image, an array uint8 `[H, W]` or `[H, W, C]` (channels last, RGB), an array uint16
                `[H, W]`, or a tensor `[C, H, W]` (channels first), uint8 or floats from 0 to 1.

        Raises:
            TypeError: If it is something else.
        """
        if self.transforms_originals:
            original = self.reader.convert(as_pillow(image), resize=False)
            for transform in self.transforms:
                original = transform(original)
            return fit(original, self.shape)
        if self.is_prepared(image):
            return image
        return self.reader.convert(as_pillow(image))

    def is_prepared(self, images: Any) -> bool:
        """Whether an image or a batch is a tensor that needs no conversion, uint8 of the network's size."""
        is_tensor = isinstance(images, Tensor) and images.dtype == torch.uint8
        return is_tensor and images.shape[-3:] == self.shape and not self.transforms_originals

    def as_input(self, images: Tensor) -> Tensor:
        """Returns a batch of images, uint8 `[B, C, H, W]`, transformed and normalised as for evaluation: float32."""
        for transform in () if self.transforms_originals else self.transforms:
            images = transform(images)
        if self._scaling is None or self._scaling[0].device != images.device:
            self._scaling = pixel_scaling(self.mean, self.std, images.device)
        factor, offset = self._scaling
        return images.to(torch.float32, copy=True).mul_(factor).add_(offset)


def pixel_scaling(mean: Sequence[float], std: Sequence[float], device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns factor and offset, float32 `[C, 1, 1]` each, that normalise pixels from 0 to 255."""
    # Explicit dtype, since a trainer in true half precision changes torch's default.
    means, stds = torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)
    factor, offset = 1 / (255 * stds), -means / stds
    return factor[:, None, None].to(device), offset[:, None, None].to(device)


def as_pillow(image: Any) -> Image.Image:
    """Returns a Pillow image, an array `[H, W]` or `[H, W, C]`, or a tensor `[C, H, W]`, uint8, as a Pillow image.

    Tensors may also hold floats from 0 to 1, which become uint8 as in the training of `from_datasets`.

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(image, Image.Image):
        return image
    original = image
    if isinstance(image, Tensor):
        if image.is_floating_point() and image.numel() and image.min() >= 0 and image.max() <= 1:
            image = (image.float() * 255).round().to(torch.uint8)
        image = image.detach().cpu()
        image = image.movedim(0, -1).numpy() if image.ndim == 3 else image.numpy()
    if isinstance(image, np.ndarray) and image.dtype == np.uint16 and image.ndim == 2:
        return Image.fromarray(image)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
        if image.ndim == 3 and image.shape[2] == 1:
            image = image[:, :, 0]
        if image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4)):
            return Image.fromarray(np.ascontiguousarray(image))
    is_array = isinstance(image, np.ndarray)
    fix = ": scale pixels to 0...255 and convert them to uint8" if is_array and image.dtype != np.uint8 else ""
    raise TypeError(
        "an image is a Pillow image, an array uint8 [H, W] or [H, W, C], or a tensor [C, H, W] of uint8 or of floats "
        f"from 0 to 1, with 1, 3 or 4 channels, or the path of a file; got {_described(original)}{fix}"
    )


def _described(image: Any) -> str:
    if isinstance(image, Tensor):
        numbers = f"a tensor {str(image.dtype).removeprefix('torch.')} {list(image.shape)}"
        if image.is_floating_point() and image.numel():
            return f"{numbers} with values from {float(image.min()):.4g} to {float(image.max()):.4g}"
        return numbers
    if isinstance(image, np.ndarray):
        return f"an array {image.dtype} {list(image.shape)}"
    return f"a {type(image).__name__}"
