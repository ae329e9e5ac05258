"""Simple Copy-Paste augmentation for instance segmentation (Ghiasi et al. 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.transforms.masks import ImageWithMasks

MOST_HIDDEN = 0.5
"""Largest fraction of an object that a single pasted object may hide."""


def paste_objects(onto: ImageWithMasks, source: ImageWithMasks) -> ImageWithMasks:
    """Pastes objects of another image at their positions, each with probability 0.5.

    Masks of one image do not overlap: pixels that a pasted object covers are removed from the other masks, and objects
    of which nothing is left are dropped. An object that would hide more than half of another one is not pasted. A
    source of another size is cropped or padded on the right and at the bottom.

    Args:
        onto: Image to paste into; not changed.
        source: Image that the objects come from; not changed.

    Returns:
        An image of the size of `onto`, with its own objects first.
    """
    height, width = onto.image.shape[-2:]
    padding = (0, width - source.image.shape[-1], 0, height - source.image.shape[-2])  # negative values crop
    image, masks = F.pad(source.image, padding), F.pad(source.masks, padding)
    pairs = _instance_map(masks) * (len(onto.masks) + 1) + _instance_map(onto.masks)
    pixels = torch.bincount(pairs.flatten(), minlength=(len(masks) + 1) * (len(onto.masks) + 1))
    hidden = pixels.view(len(masks) + 1, -1)[
        1:, 1:
    ]  # pixels of each object of `onto` (column) that each object of `source` (row) covers
    areas = onto.masks.flatten(1).sum(dim=1)
    chosen = (torch.rand(len(masks), device=masks.device) < 0.5) & (hidden <= MOST_HIDDEN * areas).all(dim=1)
    chosen &= masks.flatten(1).any(dim=1)
    front = masks[chosen]
    covered = front.any(dim=0)
    behind = onto.masks & ~covered
    visible = behind.flatten(1).any(dim=1)
    return ImageWithMasks(
        torch.where(covered, image, onto.image),
        torch.cat([onto.labels[visible], source.labels[chosen]]),
        torch.cat([behind[visible], front]),
    )


def _instance_map(masks: Tensor) -> Tensor:
    """Returns the number of the object at each pixel, int64 `[H, W]`, from 1; 0 is the background."""
    if not len(masks):
        return torch.zeros(masks.shape[1:], dtype=torch.int64, device=masks.device)
    return (masks.to(torch.uint8).argmax(dim=0) + 1) * masks.any(dim=0)
