"""The named augmentations of image batches, among them torchvision's policies such as AutoAugment.

torchvision's transforms draw their parameters once per call, so that all images of a batch would be changed in the same
way. These draw them for each image, on the device of the batch, for uint8 and float images.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import AugMix, AutoAugment, AutoAugmentPolicy, Compose, RandAugment, TrivialAugmentWide

from litzoo.datamodules.transforms.alternating import AlternatingFlip, AugmentationChain, ReflectedShift
from litzoo.datamodules.transforms.appearance import RandomErase, RandomTone
from litzoo.datamodules.transforms.geometry import RandomAffine, RandomFlip, RandomShift

APPLY = "_apply_image_or_video_transform"
"""The private method of torchvision's policies that applies a drawn operation to an image."""
Augmentation = Callable[[Tensor], Tensor]
Choice: TypeAlias = str | v2.Transform | Sequence[str | v2.Transform]
"""What `augment` takes: names of `AUGMENTATIONS` and torchvision's transforms."""
Chain = list[tuple[str, float]]
"""Operations to apply to an image, in their order: name and magnitude."""


class PerSample:
    """Applies one of torchvision's policies to a batch, with separate draws for each image.

    The result is bit-identical to applying the policy to the images one by one with the same state of torch's
    generator. For speed (two to four times on a CPU) the operations of all images are drawn first, and images with the
    same operation and magnitude are changed together. A transform without the private method `APPLY` is applied to the
    images one by one.

    Args:
        policy: Transform of an image, uint8 `[C, H, W]` with one or three channels.
    """

    def __init__(self, policy: v2.Transform) -> None:
        self.policy = policy
        self._recorder: Any = copy.deepcopy(policy)
        self._last: Tensor | None = None
        self._chains: list[Chain] = []
        self._weights: list[Tensor] = []
        if hasattr(policy, APPLY):
            setattr(self._recorder, APPLY, self._record)
        self._mixes = isinstance(policy, v2.AugMix)
        if self._mixes:
            self._recorder._sample_dirichlet = self._record_weights

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]`, uint8; others are rounded."""
        if images.is_floating_point():
            images = images.round().clamp(0, 255).to(torch.uint8)
        if not hasattr(self.policy, APPLY):
            return torch.stack([self.policy(image).as_subclass(Tensor) for image in images])
        chains: list[Chain] = []
        weights: list[list[Tensor]] = []
        for _ in range(len(images)):
            self._chains, self._weights = [] if self._mixes else [[]], []
            self._recorder(images[0])
            chains += self._chains
            weights.append(self._weights)
        if self._mixes:
            return self._mix(images, chains, *map(torch.cat, zip(*weights, strict=True)))
        return self._apply(images.clone(), chains)

    def _record(self, image: Tensor, operation: str, magnitude: float, *how: Any, **named: Any) -> Tensor:
        """Replaces the method that applies an operation: records it instead."""
        self._how = how, named
        if self._mixes and image is not self._last:  # each chain of AugMix starts from the original image
            self._chains.append([])
        self._chains[-1].append((operation, magnitude))
        self._last = image.view_as(image)
        return self._last

    def _record_weights(self, params: Tensor) -> Tensor:
        self._weights.append(torch._sample_dirichlet(params))
        return self._weights[-1]

    def _apply(self, images: Tensor, chains: list[Chain]) -> Tensor:
        """Applies to each image the operations of its chain, in place."""
        for step in range(max(map(len, chains), default=0)):
            same: dict[tuple[str, float], list[int]] = {}
            for row, chain in enumerate(chains):
                if step < len(chain):
                    same.setdefault(chain[step], []).append(row)
            for drawn, rows in same.items():
                how, named = self._how
                images[rows] = getattr(self.policy, APPLY)(images[rows], *drawn, *how, **named)
        return images

    def _mix(self, images: Tensor, chains: list[Chain], original: Tensor, weights: Tensor) -> Tensor:
        """Mixes each image with the results of its chains, as AugMix does.

        Args:
            images: The original images, uint8 `[B, C, H, W]`.
            chains: The operations of all chains, `width` per image.
            original: Weights of the original image and of the mixed chains, `[B, 2]`.
            weights: Weights of the chains, `[B, width]`.
        """
        width = weights.shape[1]
        changed = self._apply(images.repeat_interleave(width, 0), chains).unflatten(0, (-1, width))
        weights = (weights * original[:, 1:])[..., None, None, None]
        mix = original[:, :1, None, None] * images
        for number in range(width):
            mix += weights[:, number] * changed[:, number]
        return mix.to(torch.uint8)


def _strong() -> list[Augmentation]:
    return [RandomAffine(degrees=30, shift=0.125, scale=0.2), RandomTone(0.2, 0.5), RandomErase(0.5)]


def _unchanged(images: Tensor) -> Tensor:
    """Returns the images as they are."""
    return images


AUGMENTATIONS: dict[str, Callable[[int], Augmentation]] = {
    "none": lambda side: _unchanged,
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
"""The choices of `augment`: name -> function of the image's side in pixels -> augmentation.

`shift` shifts 28-pixel digits by up to 2 pixels; `crop_flip` is the usual recipe for CIFAR, 4 pixels at a side of 32;
`alternating_flip_shift` is that of its speed records, 2 pixels at a side of 32 (Jordan 2024); `strong` is for the
strong view of unlabeled images, `strong_flip` if a flipped image has the same class. The policies are torchvision's,
with its defaults: AutoAugment's three (Cubuk et al. 2019), RandAugment (Cubuk et al. 2020),
TrivialAugment (Müller & Hutter 2021) and AugMix (Hendrycks et al. 2020, without its consistency loss).
"""


def augmentation_of(option: str, choice: Choice, shape: Sequence[int]) -> Augmentation:
    """Creates an augmentation, or the composition of several.

    Args:
        option: Name of the option, for messages.
        choice: A name in `AUGMENTATIONS`, one of torchvision's transforms, or a list of these.
        shape: `(C, H, W)` of the images.

    Raises:
        ValueError: If there is no such name, the list is empty, or a transform does not return such images.
    """
    if not (steps := steps_of(option, choice)):
        raise ValueError(f"{option}: the list is empty; name at least one of {', '.join(AUGMENTATIONS)}")
    chain = [AUGMENTATIONS[step](shape[-1]) if isinstance(step, str) else PerSample(step) for step in steps]
    augmentation = chain[0] if len(chain) == 1 else AugmentationChain(chain)
    if not all(isinstance(step, str) for step in steps):
        require_shape(option, augmentation, shape, shape)
    return augmentation


def steps_of(option: str, choice: Choice) -> list[str | v2.Transform]:
    """Returns the steps of an augmentation, names and torchvision's transforms, in their order.

    Raises:
        ValueError: If a step is neither.
    """
    steps: list[Any] = [choice] if isinstance(choice, (str, v2.Transform)) else list(choice)
    for step in steps:
        if isinstance(step, v2.Transform) or (isinstance(step, str) and step in AUGMENTATIONS):
            continue
        shown = repr(step) if isinstance(step, str) else type(step).__name__
        raise ValueError(
            f"{option}: {shown} is not one of {', '.join(AUGMENTATIONS)}, nor a transform of torchvision.transforms.v2"
        )
    return steps


def require_shape(option: str, transform: Augmentation, of: Sequence[int], to: Sequence[int]) -> None:
    """Checks that a transform of a batch returns images of a shape, with values from 0 to 255, on two grey images.

    Args:
        option: Name of the option, for messages.
        transform: Transform of a batch, uint8 `[B, C, H, W]`.
        of: `(C, H, W)` of the images it gets.
        to: `(C, H, W)` of the images it is to return.

    Raises:
        ValueError: If it fails or returns something else; the message says what.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            found = transform(torch.full((2, *of), 127, dtype=torch.uint8))
        except Exception as error:
            raise ValueError(f"{option}: cannot be applied to images of {list(of)} ({error})") from error
    if not isinstance(found, Tensor) or list(found.shape[1:]) != list(to):
        shape = list(found.shape[1:]) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"{option}: returns images of {shape}, but the network gets {list(to)}; end with a transform that returns "
            "this size, or set data.size"
        )
    if found.is_floating_point() and found.numel() and found.max() <= 1.001:
        raise ValueError(
            f"{option}: scales pixels to 0...1, but they are scaled and normalised afterwards (data.scale); leave out "
            "ToDtype and Normalize, or end with ToDtype(torch.uint8, scale=True)"
        )
