"""Random augmentation of an image together with the masks of its objects, through torchvision's tv_tensors.

Images come one by one, each with draws of its own from torch's generator.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2


class Outlined(NamedTuple):
    """An image, uint8 `[3, H, W]`, and of its objects the classes, int64 `[n]`, and masks, bool `[n, H, W]`."""

    image: Tensor
    labels: Tensor
    masks: Tensor


class QuarterTurn:
    """Turns an image and its masks by 0, 90, 180 or 270 degrees."""

    def __call__(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Returns parts `[..., H, W]`, all turned alike."""
        times = int(torch.randint(4, ()))
        return tuple(tv_tensors.wrap(part.rot90(times, (-2, -1)), like=part) for part in parts)


def _varied() -> list[Callable[..., Any]]:
    return [
        v2.RandomAffine(degrees=0, translate=(0.1, 0.1), scale=(0.8, 1.25)),
        v2.ColorJitter(brightness=0.3, contrast=0.3),
    ]


MASK_AUGMENTATIONS: dict[str, Callable[[], Sequence[Callable[..., Any]]]] = {
    "none": list,
    "mirror": lambda: [v2.RandomHorizontalFlip()],
    "mirror_vary": lambda: [v2.RandomHorizontalFlip(), *_varied()],
    "turn": lambda: [v2.RandomHorizontalFlip(), QuarterTurn()],
    "turn_vary": lambda: [v2.RandomHorizontalFlip(), QuarterTurn(), *_varied()],
}
"""What `augment` may name in a config: name -> a function that makes the transforms, in their order."""


def augmented(transforms: Sequence[Callable[..., Any]], sample: Outlined) -> Outlined:
    """Changes an image and its masks alike; objects of which nothing is left in the image are left out.

    Args:
        transforms: One of `MASK_AUGMENTATIONS`.
        sample: Left as it is.

    Returns:
        As many objects as are left; a turned image has height and width exchanged.
    """
    image, outlines = tv_tensors.Image(sample.image), tv_tensors.Mask(sample.masks)
    for transform in transforms:
        image, outlines = transform(image, outlines)
    masks = outlines.as_subclass(Tensor)
    left = masks.flatten(1).any(dim=1)
    return Outlined(image.as_subclass(Tensor), sample.labels[left], masks[left])


def boxes_around(masks: Tensor) -> Tensor:
    """Returns the smallest boxes around masks `[n, H, W]`, none of them empty: `x0, y0, x1, y1`, float32 `[n, 4]`.

    The last row and column are within: torchvision's `masks_to_boxes` ends at their numbers, one pixel too early, which
    makes an empty box of a mask that is one pixel wide.
    """
    if not len(masks):
        return torch.zeros(0, 4, device=masks.device)
    sides = []
    for of_line in (masks.any(dim=1), masks.any(dim=2)):  # columns, rows
        size = of_line.shape[1]
        first = of_line.to(torch.uint8).argmax(dim=1)
        last = size - of_line.flip(1).to(torch.uint8).argmax(dim=1)
        sides.append((first, last))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], dim=1).float()
