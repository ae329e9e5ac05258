"""Random brightness, contrast and erasing for batches of images."""

import torch
from torch import Tensor


class RandomTone:
    """Changes brightness and contrast by random amounts, drawn for each image.

    Args:
        brightness: Largest shift of the pixel values in either direction, as a fraction of the range 0...255.
        contrast: Largest relative change of the distance to the image's mean: 0.5 draws a factor from 0.5 to 1.5.
    """

    def __init__(self, brightness: float, contrast: float) -> None:
        self.brightness, self.contrast = brightness, contrast

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]`, float32, clipped to 0...255."""
        draws = torch.rand(2, len(images), 1, 1, 1, device=images.device) * 2 - 1
        values = images.float()
        mean = values.mean(dim=(1, 2, 3), keepdim=True)
        changed = (values - mean) * (1 + self.contrast * draws[0]) + mean + 255 * self.brightness * draws[1]
        return changed.clamp_(0, 255)


class RandomErase:
    """Fills a square of random position and size in each image with grey (Cutout, DeVries & Taylor 2017).

    Args:
        largest: Largest side of the square, as a fraction of the image's smaller side.
    """

    def __init__(self, largest: float) -> None:
        self.largest = largest

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]` and type."""
        batch, _, height, width = images.shape
        draws = torch.rand(3, batch, 1, device=images.device)
        half = draws[0] * self.largest * min(height, width) / 2
        # The centre of pixel i is at i + 0.5.
        rows = (torch.arange(height, device=images.device) + 0.5 - draws[1] * height).abs() < half
        columns = (torch.arange(width, device=images.device) + 0.5 - draws[2] * width).abs() < half
        covered = rows[:, None, :, None] & columns[:, None, None, :]
        return images.masked_fill(covered, 127)
