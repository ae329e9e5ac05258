"""Antialiased bilinear resizing in tensor operations that every export format has; torch's own is not one of ONNX's."""

import torch
from torch import Tensor


def resize_and_crop(images: Tensor, height: int, width: int) -> Tensor:
    """Scales images to cover `height` × `width` and crops them around their centre, like `PIL.ImageOps.fit`.

    Rows and columns are resampled by products with matrices of triangle filters, rounded to whole levels after each, as
    Pillow does. It computes in fixed point; so weights are rounded to multiples of 2^-22, which float64 sums exactly.
    Images of that size are unchanged. A level may differ by 1 where Pillow resamples the rows first, as version 13 does
    with tall images that are cropped and widened. Sizes may be symbolic, for a program for all sizes.

    Args:
        images: uint8 `[B, C, H, W]`.
        height: Height of the result.
        width: Width of the result.

    Returns:
        Levels from 0 to 255, float32 `[B, C, height, width]`.
    """
    rows, columns = _positions(images.shape[2], images), _positions(images.shape[3], images)
    own_height, own_width = rows[-1] + 1, columns[-1] + 1  # as tensors, since ONNX computes with no others
    cropped_width = torch.minimum(own_width, own_height * (width / height))
    cropped_height = torch.minimum(own_height, own_width / (width / height))
    across = _filters(columns, *_box(own_width, cropped_width), width)
    down = _filters(rows, *_box(own_height, cropped_height), height)
    levels = _rounded(images.to(torch.float64) @ _fixed(across).T)
    return _rounded(_fixed(down) @ levels).to(torch.float32)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Scales images `[B, C, H, W]`, float32, like `torch.nn.functional.interpolate` with `antialias`."""
    rows, columns = _positions(images.shape[2], images), _positions(images.shape[3], images)
    start = torch.zeros_like(rows[0])
    levels = images @ _filters(columns, start, columns[-1] + 1, width).T.to(torch.float32)
    return _filters(rows, start, rows[-1] + 1, height).to(torch.float32) @ levels


def _box(own: Tensor, cropped: Tensor) -> tuple[Tensor, Tensor]:
    """Returns start and length of the section that is kept, with its ends in float32 as in Pillow."""
    start = (own - cropped) / 2
    end = (start + cropped).to(torch.float32)
    start = start.to(torch.float32)
    return start.to(torch.float64), (end - start).to(torch.float64)


def _fixed(weights: Tensor) -> Tensor:
    return (weights * 2**22 + 0.5).floor() / 2**22


def _positions(count: int, images: Tensor) -> Tensor:
    return torch.arange(count, dtype=torch.float64, device=images.device)


def _filters(positions: Tensor, start: Tensor, length: Tensor, count: int) -> Tensor:
    """Returns the weights of the pixels at positions `[n]` in each of `count` pixels of a section.

    They are float64 `[count, n]`.
    """
    scale = length / count
    centres = start + (torch.arange(count, dtype=torch.float64, device=positions.device) + 0.5) * scale
    distances = (positions + 0.5 - centres[:, None]).abs() / scale.clamp(min=1)
    weights = (1 - distances).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)


def _rounded(levels: Tensor) -> Tensor:
    return (levels + 0.5).floor().clamp(0, 255)
