import torch
from torch import Tensor


def principal_axes(features: Tensor) -> tuple[Tensor, Tensor, int]:
    """Finds the directions in which features differ from 0.

    Args:
        features: `[N, D]`, float64, from where the directions are seen.

    Returns:
        The mean square along each axis, from large to small, `[D]`; the axes, columns of `[D, D]`; and how many of them
        the features span: what is as small as the rounding of float32, in which networks compute, is taken for 0.
    """
    values, axes = torch.linalg.eigh(features.T @ features / len(features))
    values, axes = values.flip(0), axes.flip(1)
    smallest = values[0] * len(values) * torch.finfo(torch.float32).eps ** 2
    return values, axes, int((values > smallest).sum())
