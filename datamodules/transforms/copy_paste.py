"""Simple Copy-Paste (Ghiasi et al. 2021): objects of one image are pasted into another, for instance segmentation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.transforms.masks import Outlined

MOST_HIDDEN = 0.5
"""Fraction of an object that one pasted in front of it may hide at most."""


def with_pasted(onto: Outlined, source: Outlined) -> Outlined:
    """Pastes objects of another image, each with a probability of one half, where they are in it.

    Masks of one image do not overlap. An object that would by itself hide more than half of one that is there is left
    out; what else it covers is taken from the masks. A source of another size is cut or padded at its right and lower
    sides.

    Args:
        onto: What is pasted into; left as it is.
        source: Where the objects come from; left as it is.

    Returns:
        An image of the size of `onto`, its own objects that can still be seen first.
    """
    height, width = onto.image.shape[-2:]
    more = (0, width - source.image.shape[-1], 0, height - source.image.shape[-2])  # less where it is negative
    image, masks = F.pad(source.image, more), F.pad(source.masks, more)
    shared = _numbers(masks) * (len(onto.masks) + 1) + _numbers(onto.masks)
    pixels = torch.bincount(shared.flatten(), minlength=(len(masks) + 1) * (len(onto.masks) + 1))
    hidden = pixels.view(len(masks) + 1, -1)[1:, 1:]  # of each object there by each that may be pasted
    areas = onto.masks.flatten(1).sum(dim=1)
    chosen = (torch.rand(len(masks), device=masks.device) < 0.5) & (hidden <= MOST_HIDDEN * areas).all(dim=1)
    chosen &= masks.flatten(1).any(dim=1)
    front = masks[chosen]
    covered = front.any(dim=0)
    behind = onto.masks & ~covered
    seen = behind.flatten(1).any(dim=1)
    return Outlined(
        torch.where(covered, image, onto.image),
        torch.cat([onto.labels[seen], source.labels[chosen]]),
        torch.cat([behind[seen], front]),
    )


def _numbers(masks: Tensor) -> Tensor:
    """Returns the number of the object that each pixel belongs to, int64 `[H, W]` from 1; 0 is the background."""
    if not len(masks):
        return torch.zeros(masks.shape[1:], dtype=torch.int64, device=masks.device)
    return (masks.to(torch.uint8).argmax(dim=0) + 1) * masks.any(dim=0)
