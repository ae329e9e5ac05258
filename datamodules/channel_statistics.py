import torch
from torch import Tensor

from datamodules.dataset import Rows


def channel_statistics(pictures: Rows, indices: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measures the channels of chosen pictures, exactly, from a count of each of the 256 levels.

    Args:
        pictures: Rows of uint8 `[C, H, W]`.
        indices: Which of them, int64 `[n]`.

    Returns:
        Mean and standard deviation of each channel, on a scale from 0 to 1; the latter is 1 where a channel is the
        same everywhere.
    """
    counts = torch.zeros(0, 256, dtype=torch.int64)
    for chunk in indices.split(1000):
        channels = pictures.index_select(0, chunk).transpose(0, 1).flatten(1)
        found = torch.stack([torch.bincount(channel, minlength=256) for channel in channels])
        counts = found if not len(counts) else counts + found
    shares = counts.double() / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = shares @ levels
    std = (shares @ levels**2 - mean**2).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(value or 1.0 for value in std.tolist())
