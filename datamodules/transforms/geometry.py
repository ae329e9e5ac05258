import math

import torch
import torch.nn.functional as F
from torch import Tensor


class RandomShift:
    """Moves every image by up to `pixels` in each direction (the same as padding and cropping at random).

    Args:
        pixels: The furthest shift, in pixels.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]` and type."""
        batch, _, height, width = images.shape
        rows, columns = torch.randint(2 * self.pixels + 1, (2, batch), device=images.device)
        # A view of every possible crop, of which one is copied for each image.
        crops = F.pad(images, [self.pixels] * 4).unfold(2, height, 1).unfold(3, width, 1)
        return crops[torch.arange(batch, device=images.device), :, rows, columns]


class RandomFlip:
    """Mirrors every second image, left to right."""

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]` and type."""
        mirrored = torch.rand(len(images), device=images.device) < 0.5
        return torch.where(mirrored[:, None, None, None], images.flip(3), images)


class RandomAffine:
    """Rotates, shifts and scales every image by its own random amounts, in one bilinear resampling.

    Args:
        degrees: The largest rotation to either side.
        shift: The largest shift to either side, as a fraction of the image's size.
        scale: The largest change of size, as a fraction: 0.1 draws a factor from 0.9 to 1.1.
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
        # Grid coordinates run from -1 to 1 on both axes; the aspect ratio keeps a rotation a rotation.
        x_row = torch.stack([cos, -sin * height / width, 2 * draw(self.shift)], dim=1)
        y_row = torch.stack([sin * width / height, cos, 2 * draw(self.shift)], dim=1)
        grid = F.affine_grid(torch.stack([x_row, y_row], dim=1), list(images.shape), align_corners=False)
        return F.grid_sample(images.float(), grid, align_corners=False)
