"""Random augmentation of images together with the masks of their objects, by torchvision's tv_tensors.

Images are augmented one by one, since they may differ in size.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2


class ImageWithMasks(NamedTuple):
    """An image, uint8 `[3, H, W]`, the classes of its objects, int64 `[n]`, and their masks, bool `[n, H, W]`."""

    image: Tensor
    labels: Tensor
    masks: Tensor


class QuarterTurn:
    """Rotates an image and its masks by 0, 90, 180 or 270 degrees."""

    def __call__(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Rotates all parts `[..., H, W]` by the same angle."""
        times = int(torch.randint(4, ()))
        return tuple(tv_tensors.wrap(part.rot90(times, (-2, -1)), like=part) for part in parts)


def _affine_and_colour() -> list[Callable[..., Any]]:
    return [
        v2.RandomAffine(degrees=0, translate=(0.1, 0.1), scale=(0.8, 1.25)),
        v2.ColorJitter(brightness=0.3, contrast=0.3),
    ]


MASK_AUGMENTATIONS: dict[str, Callable[[], Sequence[Callable[..., Any]]]] = {
    "none": list,
    "mirror": lambda: [v2.RandomHorizontalFlip()],
    "mirror_vary": lambda: [v2.RandomHorizontalFlip(), *_affine_and_colour()],
    "turn": lambda: [v2.RandomHorizontalFlip(), QuarterTurn()],
    "turn_vary": lambda: [v2.RandomHorizontalFlip(), QuarterTurn(), *_affine_and_colour()],
}
"""The choices of `augment`: name -> function that creates the transforms, in their order."""


def augmented(transforms: Sequence[Callable[..., Any]], sample: ImageWithMasks) -> ImageWithMasks:
    """Applies transforms to an image and its masks; objects that leave the image are dropped.

    Args:
        transforms: Transforms of `MASK_AUGMENTATIONS`.
        sample: The image; not changed.

    Returns:
        The augmented image; a rotation by 90 degrees swaps height and width.
    """
    image, masks = tv_tensors.Image(sample.image), tv_tensors.Mask(sample.masks)
    for transform in transforms:
        image, masks = transform(image, masks)
    masks = masks.as_subclass(Tensor)
    left = masks.flatten(1).any(dim=1)
    return ImageWithMasks(image.as_subclass(Tensor), sample.labels[left], masks[left])


def boxes_around(masks: Tensor) -> Tensor:
    """Returns the bounding boxes `x0, y0, x1, y1`, float32 `[n, 4]`, of masks `[n, H, W]`, none of them empty.

    Boxes include the last row and column. Those of torchvision's `masks_to_boxes` end one pixel earlier, so that the
    box of a mask one pixel wide is empty.
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
