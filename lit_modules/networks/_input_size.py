"""The image sizes that a network accepts."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import nn

SIDES = (*(2**power for power in range(10)), 224)
"""Sides that are tried, in pixels; torchvision's vision transformers only accept 224."""


def require_size(
    name: str, trunk: nn.Module, channels: int, size: Sequence[int], width: int, own_size: Sequence[int] | None = None
) -> None:
    """Raises if a network does not accept images of a size; this is tried on the meta device, without computing.

    Args:
        name: Name of the network, for the message.
        trunk: The network, from images `[B, channels, H, W]` to features.
        channels: Channels of its images.
        size: Height and width.
        width: Expected number of features.
        own_size: The size that it was trained with, if known.

    Raises:
        ValueError: If it does not; the message names the smallest square that works, or else `own_size`.
    """
    if (problem := _problem(trunk, channels, size, width)) is None:
        return
    remedy = "no square that was tried (1, 2, 4 to 512, 224) works: set model.size to what it was made for"
    if own_size:
        remedy = f"it was made for {own_size[0]}×{own_size[1]}: set model.size to {list(own_size)}"
    if side := _smallest_side(trunk, channels, width):
        remedy = f"{side}×{side} is the smallest square that works: set model.size to {side}"
    raise ValueError(f"model: {name} takes no images of {size[0]}×{size[1]} pixels; {remedy} ({problem})")


def _smallest_side(trunk: nn.Module, channels: int, width: int) -> int | None:
    """Returns the smallest side of squares that work, if there is one."""

    def works(side: int) -> bool:
        return _problem(trunk, channels, (side, side), width) is None

    if (found := next(filter(works, sorted(SIDES)), None)) is None:
        return None
    low = max((side for side in SIDES if side < found), default=0)
    while found - low > 1:
        middle = (low + found) // 2
        low, found = (low, middle) if works(middle) else (middle, found)
    return found


def _problem(trunk: nn.Module, channels: int, size: Sequence[int], width: int) -> str | None:
    """Returns what is wrong with a size, if something is."""
    tensors = chain(trunk.named_parameters(), trunk.named_buffers())
    on_meta = {name: tensor.to("meta") for name, tensor in tensors}
    modes = [(module, module.training) for module in trunk.modules()]
    trunk.eval()
    try:
        with torch.no_grad():
            image = torch.empty(1, channels, *size, device="meta")
            shape = tuple(torch.func.functional_call(trunk, on_meta, (image,)).shape)
    except Exception as error:  # any error, such as that of pooling an image to nothing
        return (str(error) or type(error).__name__).splitlines()[0]
    finally:
        for module, mode in modes:
            module.training = mode
    return None if shape == (1, width) else f"its features would be {list(shape[1:])}, not {width}"
