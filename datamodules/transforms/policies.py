"""Random augmentation of a batch of images, every sample with a draw of its own.

torchvision's transforms draw once per call, so that a whole batch would get one and the same crop. These work on the
batch, on its device, on uint8 as well as float images, and fill with black what moves in from outside.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import AugMix, AutoAugment, AutoAugmentPolicy, Compose, RandAugment, TrivialAugmentWide

from litzoo.datamodules.transforms.alternating import AlternatingFlip, AugmentationChain, ReflectedShift
from litzoo.datamodules.transforms.appearance import RandomErase, RandomTone
from litzoo.datamodules.transforms.geometry import RandomAffine, RandomFlip, RandomShift

APPLY = "_apply_image_or_video_transform"
"""The method of torchvision's policies that changes an image, once they have drawn how."""
Chain = list[tuple[str, float]]


class PerSample:
    """Has a policy of torchvision's draw anew for every image of a batch; by itself it draws once a call.

    Each image becomes, to the bit, what the policy makes of it alone, with the same draws of torch's own generator.
    But all images for which an operation was drawn in the same strength are changed at once, two to four times as
    fast on a CPU; a policy that does not let its draws be seen gets them one by one.

    Args:
        policy: From one image, uint8 `[C, H, W]` with one or three channels, to another.
    """

    def __init__(self, policy: v2.Transform) -> None:
        self.policy = policy
        self._drawing: Any = copy.deepcopy(policy)
        self._last: Tensor | None = None
        self._chains: list[Chain] = []
        self._fractions: list[Tensor] = []
        if hasattr(policy, APPLY):
            setattr(self._drawing, APPLY, self._note)
        self._mixes = isinstance(policy, v2.AugMix)
        if self._mixes:
            self._drawing._sample_dirichlet = self._note_fractions

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]`, uint8; others are rounded."""
        if images.is_floating_point():
            images = images.round().clamp(0, 255).to(torch.uint8)
        if not hasattr(self.policy, APPLY):
            return torch.stack([self.policy(image) for image in images])
        chains: list[Chain] = []
        fractions: list[list[Tensor]] = []
        for _ in range(len(images)):
            self._chains, self._fractions = [] if self._mixes else [[]], []
            self._drawing(images[0])
            chains += self._chains
            fractions.append(self._fractions)
        if self._mixes:
            return self._mixed(images, chains, *map(torch.cat, zip(*fractions, strict=True)))
        return self._changed(images.clone(), chains)

    def _note(self, image: Tensor, operation: str, strength: float, *how: Any, **named: Any) -> Tensor:
        """Stands in for what changes an image."""
        self._how = how, named
        if self._mixes and image is not self._last:  # each chain begins with the image as it is
            self._chains.append([])
        self._chains[-1].append((operation, strength))
        self._last = image.view_as(image)
        return self._last

    def _note_fractions(self, params: Tensor) -> Tensor:
        self._fractions.append(torch._sample_dirichlet(params))
        return self._fractions[-1]

    def _changed(self, images: Tensor, chains: list[Chain]) -> Tensor:
        """Does each image's operations one after the other, in place."""
        for step in range(max(map(len, chains), default=0)):
            alike: dict[tuple[str, float], list[int]] = {}
            for row, chain in enumerate(chains):
                if step < len(chain):
                    alike.setdefault(chain[step], []).append(row)
            for drawn, rows in alike.items():
                how, named = self._how
                images[rows] = getattr(self.policy, APPLY)(images[rows], *drawn, *how, **named)
        return images

    def _mixed(self, images: Tensor, chains: list[Chain], fraction: Tensor, fractions: Tensor) -> Tensor:
        """Mixes images with so many changed ones of each, by their fractions `[B, 2]` and `[B, width]`."""
        width = fractions.shape[1]
        changed = self._changed(images.repeat_interleave(width, 0), chains).unflatten(0, (-1, width))
        weights = (fractions * fraction[:, 1:])[..., None, None, None]
        mix = fraction[:, :1, None, None] * images
        for number in range(width):
            mix += weights[:, number] * changed[:, number]
        return mix.to(torch.uint8)


Augmentation = Callable[[Tensor], Tensor]


def _strong() -> list[Augmentation]:
    return [RandomAffine(degrees=30, shift=0.125, scale=0.2), RandomTone(0.2, 0.5), RandomErase(0.5)]


def unchanged(images: Tensor) -> Tensor:
    """Returns the images as they are."""
    return images


AUGMENTATIONS: dict[str, Callable[[int], Augmentation]] = {
    "none": lambda side: unchanged,
    "shift": lambda side: RandomShift(max(1, side // 14)),
    "crop_flip": lambda side: Compose([RandomShift(max(1, side // 8)), RandomFlip()]),
    "alternating_flip_shift": lambda side: AugmentationChain([AlternatingFlip(), ReflectedShift(max(1, side // 16))]),
    "affine": lambda side: RandomAffine(degrees=10, shift=2 / 28, scale=0.1),
    "strong": lambda side: Compose(_strong()),
    "strong_flip": lambda side: Compose([RandomFlip(), *_strong()]),
    "autoaugment_imagenet": lambda side: PerSample(AutoAugment(AutoAugmentPolicy.IMAGENET)),
    "autoaugment_cifar10": lambda side: PerSample(AutoAugment(AutoAugmentPolicy.CIFAR10)),
    "autoaugment_svhn": lambda side: PerSample(AutoAugment(AutoAugmentPolicy.SVHN)),
    "randaugment": lambda side: PerSample(RandAugment()),
    "trivialaugment": lambda side: PerSample(TrivialAugmentWide()),
    "augmix": lambda side: PerSample(AugMix()),
}
"""What `augment` may name in a config: name -> a function of the image's side in pixels -> the augmentation.

`shift` moves 28-pixel digits by up to 2 pixels; `crop_flip` is CIFAR's usual recipe, 4 pixels at a side of 32;
`alternating_flip_shift` that of its speed records, 2 pixels at a side of 32 (Jordan 2024); `strong` is for
the second view of unlabeled images, `strong_flip` where a mirrored image is of the same class. The policies are
torchvision's, with its defaults: AutoAugment's three (Cubuk et al. 2019), RandAugment (Cubuk et al. 2020),
TrivialAugment (Müller & Hutter 2021) and AugMix (Hendrycks et al. 2020, without its consistency loss).
"""


def augmentation_of(option: str, asked: str | Sequence[str], side: int) -> Augmentation:
    """Returns the augmentation of a name, or of several one after the other.

    Args:
        option: That asks for it, for the message.
        asked: A name in `AUGMENTATIONS`, or a list of them.
        side: Of the images, in pixels.

    Raises:
        ValueError: If a name is not there, or the list is empty.
    """
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(f"{option}: {name!r} is none of {', '.join(AUGMENTATIONS)}")
    if not names:
        raise ValueError(f"{option}: the list is empty; name at least one of {', '.join(AUGMENTATIONS)}")
    made = [AUGMENTATIONS[name](side) for name in names]
    return made[0] if len(made) == 1 else AugmentationChain(made)
