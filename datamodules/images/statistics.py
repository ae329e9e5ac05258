"""Mean and standard deviation of the channels of images."""

import torch
from torch import Tensor

from litzoo.datamodules.dataset import Rows
from litzoo.datamodules.io.images import chunk_of

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
    for chunk in indices.split(chunk_of(images[indices[0]].shape) if len(indices) else 1):
        channels = images.index_select(0, chunk).transpose(0, 1).flatten(1)
        histogram = torch.stack([torch.bincount(channel, minlength=256) for channel in channels])
        counts = histogram if not len(counts) else counts + histogram
    fractions = counts.double() / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = fractions @ levels
    std = (fractions @ levels**2 - mean**2).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(value or 1.0 for value in std.tolist())
