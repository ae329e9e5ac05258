"""The operations of AutoAugment and its successors, with an operation and a magnitude for each image of a batch."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional

Interpolation = Literal["nearest", "bilinear"]

GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
TONAL = ("Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")
OPERATIONS = (*GEOMETRIC, *TONAL, "Identity")
"""All operations, by torchvision's names."""
_WITHOUT_MAGNITUDE = {
    "AutoContrast": functional.autocontrast,
    "Equalize": functional.equalize,
    "Invert": functional.invert,
}


def apply_operations(
    images: Tensor, operations: Sequence[str], magnitudes: Tensor, interpolation: Interpolation = "nearest"
) -> Tensor:
    """Applies one operation to each image.

    The operations are those of `torchvision.transforms.v2.AutoAugment`; moved images are filled with black. All
    geometric operations are one resampling, and images with the same operation are changed together.

    Args:
        images: uint8 `[B, C, H, W]`, with one or three channels.
        operations: Name of the operation on each image, B of `OPERATIONS`.
        magnitudes: Its magnitude, `[B]`, on the CPU, in torchvision's units; not read where an operation has none.
        interpolation: Of the geometric operations.

    Returns:
        New images of the same shape and type.
    """
    result = images.clone()
    for names in (GEOMETRIC, *((name,) for name in TONAL)):
        rows = [row for row, name in enumerate(operations) if name in names]
        if not rows:
            continue
        where = torch.tensor(rows).to(images.device, non_blocking=True)
        sizes = magnitudes[rows].double()
        if names is GEOMETRIC:
            result[where] = _resample(images[where], [operations[row] for row in rows], sizes, interpolation)
        else:
            sizes = sizes.to(images.device, torch.float32, non_blocking=True)[:, None, None, None]
            result[where] = _change_tones(images[where], names[0], sizes)
    return result


def _resample(images: Tensor, operations: Sequence[str], sizes: Tensor, interpolation: Interpolation) -> Tensor:
    """Applies the geometric operations, each with its size `[B]`."""
    height, width = images.shape[-2:]

    def size_of(name: str) -> Tensor:
        return sizes * torch.tensor([each == name for each in operations])

    shear_x, shear_y, angle = size_of("ShearX"), size_of("ShearY"), size_of("Rotate").deg2rad()
    # The inverse affine matrix, in pixels, with the origin at the centre; shears are about the top left corner.
    x_row = [angle.cos(), shear_x - angle.sin(), shear_x * height / 2 - size_of("TranslateX").trunc()]
    y_row = [shear_y + angle.sin(), angle.cos(), shear_y * width / 2 - size_of("TranslateY").trunc()]
    matrices = torch.stack([torch.stack(x_row, dim=1), torch.stack(y_row, dim=1)], dim=1)
    halves = torch.tensor([[0.5 * width], [0.5 * height]])
    scaled = (matrices.float() / halves).transpose(1, 2).to(images.device, non_blocking=True)
    down, across = torch.meshgrid(
        *(torch.linspace((1.0 - side) * 0.5, (side - 1.0) * 0.5, side) for side in (height, width)), indexing="ij"
    )
    points = torch.stack([across, down, torch.ones_like(down)], dim=-1).to(images.device, non_blocking=True)
    grid = (points.view(1, -1, 3).expand(len(images), -1, -1) @ scaled).view(len(images), height, width, 2)
    moved = F.grid_sample(images.float(), grid, mode=interpolation, padding_mode="zeros", align_corners=False)
    return moved.round_().to(torch.uint8)


def _change_tones(images: Tensor, operation: str, sizes: Tensor) -> Tensor:
    """Applies a tonal operation, with sizes `[B, 1, 1, 1]`."""
    if operation in _WITHOUT_MAGNITUDE:
        return _WITHOUT_MAGNITUDE[operation](images)
    if operation == "Posterize":
        dropped = 8 - sizes.to(torch.uint8)
        return (images >> dropped) << dropped
    if operation == "Solarize":
        return torch.where(images >= 255 * sizes, 255 - images, images)
    values = images.float()
    if operation == "Brightness":
        changed = values * (1 + sizes)
    elif operation == "Contrast":
        changed = _away_from(_grey(values).mean(dim=(1, 2, 3), keepdim=True), values, sizes)
    elif operation == "Color":
        if images.shape[1] == 1:
            return images
        changed = _away_from(_grey(values), values, sizes)
    elif min(images.shape[-2:]) <= 2:  # Sharpness of what is all border
        return images
    else:
        changed = values.clone()  # the border stays as it is
        inner = changed[..., 1:-1, 1:-1]
        inner += (_smooth(values) - inner) * -sizes
    return changed.clamp_(0, 255).to(torch.uint8)


def _away_from(other: Tensor, values: Tensor, sizes: Tensor) -> Tensor:
    return values * (1 + sizes) + other * -sizes


def _grey(values: Tensor) -> Tensor:
    """Returns the luminance `[B, 1, H, W]`, rounded down as torchvision does."""
    return values if values.shape[1] == 1 else functional.rgb_to_grayscale(values).floor_()


def _smooth(values: Tensor) -> Tensor:
    """Returns the smoothed inner pixels `[B, C, H - 2, W - 2]` that sharpening moves away from."""
    channels = values.shape[1]
    kernel = torch.full((channels, 1, 3, 3), 1 / 13, device=values.device)
    kernel[:, :, 1, 1] = 5 / 13
    return F.conv2d(values, kernel, groups=channels).round_()
