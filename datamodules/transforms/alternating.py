"""Augmentation that knows which sample it changes, and in which epoch."""

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MULTIPLIERS = (0x2545F4914F6CDD1D, 0x369DEA0F31A53F85)
"""Odd numbers with well spread bits, as in multiplicative hashing."""


class ReflectedShift:
    """Shifts every image by up to `pixels` in each direction; what moves in from outside is the mirrored border.

    Args:
        pixels: Largest shift in pixels.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]` and type."""
        batch, _, height, width = images.shape
        rows, columns = torch.randint(2 * self.pixels + 1, (2, batch), device=images.device)
        padded = reflected(reflected(images, 2, self.pixels), 3, self.pixels)
        # A view of all possible crops; one of them is copied for each image.
        crops = padded.unfold(2, height, 1).unfold(3, width, 1)
        return crops[torch.arange(batch, device=images.device), :, rows, columns]


def reflected(images: Tensor, dim: int, pixels: int) -> Tensor:
    """Pads both ends of a dimension with reflections, as `F.pad` does, which does not take uint8."""
    size = images.shape[dim]
    before = images.narrow(dim, 1, pixels).flip(dim)
    after = images.narrow(dim, size - 1 - pixels, pixels).flip(dim)
    return torch.cat([before, images, after], dim)


class AlternatingFlip:
    """Mirrors every image, left to right, in every second epoch (Jordan 2024).

    Whether an image starts mirrored is a hash of its index and the run's seed, so that any two successive epochs show
    each image both ways. It is a function of seed, index and epoch alone: a resumed training continues exactly.
    """

    by_sample = True

    def __call__(self, images: Tensor, index: Tensor | None = None, epoch: int = 0) -> Tensor:
        """Returns images of the same shape and type.

        Args:
            images: `[B, C, H, W]`.
            index: Positions of the samples in the full training set, int64 `[B]`; without them, each image is
                mirrored with probability 1/2.
            epoch: Number of the epoch.
        """
        if index is None:
            mirrored = torch.rand(len(images), device=images.device) < 0.5
        else:
            mirrored = mirrored_first(index, int(os.environ.get("PL_GLOBAL_SEED", 0))) ^ bool(epoch % 2)
        rows = torch.arange(len(images), device=images.device) + len(images) * mirrored
        return torch.cat([images, images.flip(3)]).index_select(0, rows)  # three times as fast as `torch.where`


def mirrored_first(index: Tensor, seed: int) -> Tensor:
    """Returns which samples are mirrored in even epochs, bool `[B]`: a fair, independent coin for each.

    Args:
        index: Positions, int64 `[B]`.
        seed: Seed of the run.
    """
    bits = index + (seed + 1) * MULTIPLIERS[1] % 2**62
    for multiplier in MULTIPLIERS:  # two rounds of multiply and xor-shift; int64 wraps around
        bits = bits * multiplier
        bits = bits ^ (bits >> 29)
    return (bits >> 40) % 2 == 1


class AugmentationChain:
    """Applies augmentations one after the other.

    Args:
        steps: Augmentations of a batch of images; those with a true `by_sample` also take index and epoch.
    """

    def __init__(self, steps: Sequence[Callable[..., Tensor]]) -> None:
        self.steps = list(steps)
        self.by_sample = any(getattr(step, "by_sample", False) for step in self.steps)

    def __call__(self, images: Tensor, index: Tensor | None = None, epoch: int = 0) -> Tensor:
        """Returns the augmented images `[B, C, H, W]`."""
        for step in self.steps:
            images = augmented(step, images, index, epoch)
        return images


def augmented(augmentation: Callable[..., Tensor], images: Tensor, index: Tensor | None, epoch: int) -> Tensor:
    """Applies an augmentation, with index and epoch if it depends on them.

    Args:
        augmentation: Augmentation of a batch of images.
        images: `[B, C, H, W]`.
        index: Positions of the samples in the full training set, int64 `[B]`.
        epoch: Number of the epoch.
    """
    if getattr(augmentation, "by_sample", False):
        return augmentation(images, index, epoch)
    return augmentation(images)
