"""Random shifts, flips and affine transforms for batches of images; the fill colour is black."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class RandomShift:
    """Shifts each image by a random number of pixels in both directions (like padding and random cropping).

    Args:
        pixels: Largest shift, in pixels.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]` and type."""
        batch, _, height, width = images.shape
        rows, columns = torch.randint(2 * self.pixels + 1, (2, batch), device=images.device)
        # A view of all possible crops, from which one is copied per image.
        crops = F.pad(images, [self.pixels] * 4).unfold(2, height, 1).unfold(3, width, 1)
        return crops[torch.arange(batch, device=images.device), :, rows, columns]


class RandomFlip:
    """Flips each image horizontally with probability 0.5."""

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]` and type."""
        flipped = torch.rand(len(images), device=images.device) < 0.5
        return torch.where(flipped[:, None, None, None], images.flip(3), images)


class RandomAffine:
    """Rotates, shifts and scales each image by random amounts, with one bilinear resampling.

    Args:
        degrees: Largest rotation in either direction.
        shift: Largest shift in either direction, as a fraction of the image's size.
        scale: Largest relative change of size: 0.1 draws a factor from 0.9 to 1.1.
    """

    def __init__(self, degrees: float, shift: float, scale: float) -> None:
        self.degrees, self.shift, self.scale = degrees, shift, scale

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]`, float32."""
        batch, _, height, width = images.shape

        def draw(largest: float) -> Tensor:
            return (torch.rand(batch, device=images.device) * 2 - 1) * largest

        angle, zoom = draw(math.radians(self.degrees)), 1 + draw(self.scale)
        cos, sin = angle.cos() / zoom, angle.sin() / zoom
        # Grid coordinates run from -1 to 1 on both axes; the aspect ratio prevents shear.
        x_row = torch.stack([cos, -sin * height / width, 2 * draw(self.shift)], dim=1)
        y_row = torch.stack([sin * width / height, cos, 2 * draw(self.shift)], dim=1)
        grid = F.affine_grid(torch.stack([x_row, y_row], dim=1), list(images.shape), align_corners=False)
        return F.grid_sample(images.float(), grid, align_corners=False)
