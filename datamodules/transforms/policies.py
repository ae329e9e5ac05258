"""The named augmentations of image batches, among them torchvision's policies such as AutoAugment.

torchvision's transforms draw their parameters once per call, so that all images of a batch would be changed in the same
way. These draw them for each image, for uint8 and float images.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributions import Dirichlet
from torchvision.transforms import v2
from torchvision.transforms.v2 import AugMix, AutoAugment, AutoAugmentPolicy, Compose, RandAugment, TrivialAugmentWide

from litzoo.datamodules.transforms.alternating import AlternatingFlip, AugmentationChain, ReflectedShift
from litzoo.datamodules.transforms.appearance import RandomErase, RandomTone
from litzoo.datamodules.transforms.geometry import RandomAffine, RandomFlip, RandomShift
from litzoo.datamodules.transforms.operations import apply_operations

Augmentation = Callable[[Tensor], Tensor]
_Draws = tuple[list[str], Tensor]
"""An operation for each image, and its magnitude `[B]`."""


class PerSample:
    """Applies a transform to a batch, with separate draws for each image.

    For torchvision's policies, the operations and magnitudes of all images are drawn at once, and images with the same
    operation are changed together. Any other transform is applied to the images one by one.

    Args:
        policy: Transform of an image, uint8 `[C, H, W]` with one or three channels.
    """

    def __init__(self, policy: v2.Transform) -> None:
        self.policy = policy
        # A fill colour is rare; these draw for black.
        self._vectorized = type(policy) in _DRAWS and policy.fill is None and policy.interpolation in _INTERPOLATIONS

    def __call__(self, images: Tensor) -> Tensor:
        """Returns images of the same shape `[B, C, H, W]`, uint8; others are rounded."""
        if images.is_floating_point():
            images = images.round().clamp(0, 255).to(torch.uint8)
        if not self._vectorized:
            return torch.stack([self.policy(image) for image in images])
        return self._mix(images) if isinstance(self.policy, AugMix) else self._apply(images)

    def _apply(self, images: Tensor) -> Tensor:
        policy: Any = self.policy
        for operations, magnitudes in _DRAWS[type(policy)](policy, images):
            images = apply_operations(images, operations, magnitudes, _INTERPOLATIONS[policy.interpolation])
        return images

    def _mix(self, images: Tensor) -> Tensor:
        """Mixes each image with the results of several chains of operations."""
        policy = cast(AugMix, self.policy)
        width, device = policy.mixture_width, images.device
        original, mixed = Dirichlet(torch.full((2,), policy.alpha)).sample((len(images),)).to(device).T
        weights = Dirichlet(torch.full((width,), policy.alpha)).sample((len(images),)).to(device) * mixed[:, None]
        chains = self._apply(images.repeat_interleave(width, 0)).unflatten(0, (-1, width))
        mix = original[:, None, None, None] * images + (weights[..., None, None, None] * chains).sum(dim=1)
        return mix.to(torch.uint8)


class _Space:
    """The operations of a policy, with the magnitudes that each may have for images of a size.

    Args:
        policy: One of torchvision's policies.
        images: `[B, C, H, W]`.
        bins: Number of magnitudes of each operation.
    """

    def __init__(self, policy: Any, images: Tensor, bins: int) -> None:
        self.count = len(images)
        space = policy._AUGMENTATION_SPACE
        if isinstance(policy, AugMix) and not policy.all_ops:
            space = policy._PARTIAL_AUGMENTATION_SPACE
        self.names = list(space)
        tables = [table(bins, *images.shape[-2:]) for table, _ in space.values()]
        self.magnitudes = torch.stack([torch.zeros(bins) if each is None else each.float() for each in tables])
        self.signed = torch.tensor([signed for _, signed in space.values()])

    def draws(self, numbers: Tensor, bins: Tensor, applied: Tensor | None = None) -> _Draws:
        """Returns operations by number `[B]` and magnitude `[B]`, half of the signed ones negative.

        Args:
            numbers: Of the operation, int64.
            bins: Of the magnitude, int64.
            applied: Whether the operation is applied at all, bool.
        """
        negative = self.signed[numbers] & (torch.rand(self.count) < 0.5)
        magnitudes = torch.where(negative, -1, 1) * self.magnitudes[numbers, bins]
        applied = torch.ones_like(negative) if applied is None else applied
        pairs = zip(numbers.tolist(), applied.tolist(), strict=True)
        return [self.names[number] if used else "Identity" for number, used in pairs], magnitudes

    def random(self, bins: Tensor, applied: Tensor | None = None) -> _Draws:
        """Returns random operations."""
        return self.draws(torch.randint(len(self.names), (self.count,)), bins, applied)


def _draw_rand_augment(policy: RandAugment, images: Tensor) -> Iterator[_Draws]:
    space = _Space(policy, images, policy.num_magnitude_bins)
    for _ in range(policy.num_ops):
        yield space.random(torch.full((space.count,), policy.magnitude))


def _draw_trivial_augment(policy: TrivialAugmentWide, images: Tensor) -> Iterator[_Draws]:
    space = _Space(policy, images, policy.num_magnitude_bins)
    yield space.random(torch.randint(policy.num_magnitude_bins, (space.count,)))


def _draw_auto_augment(policy: AutoAugment, images: Tensor) -> Iterator[_Draws]:
    space = _Space(policy, images, 10)
    chosen = torch.randint(len(policy._policies), (space.count,))
    for step in (0, 1):
        names, probabilities, bins = zip(*(pair[step] for pair in policy._policies), strict=True)
        numbers = torch.tensor([space.names.index(name) for name in names])[chosen]
        applied = torch.rand(space.count) <= torch.tensor(probabilities)[chosen]
        yield space.draws(numbers, torch.tensor([each or 0 for each in bins])[chosen], applied)


def _draw_aug_mix(policy: AugMix, images: Tensor) -> Iterator[_Draws]:
    space = _Space(policy, images, 10)
    longest = policy.chain_depth if policy.chain_depth > 0 else 3
    depths = torch.full((space.count,), longest) if policy.chain_depth > 0 else torch.randint(1, 4, (space.count,))
    for step in range(longest):
        yield space.random(torch.randint(policy.severity, (space.count,)), step < depths)


_DRAWS: dict[type, Callable[[Any, Tensor], Iterator[_Draws]]] = {
    RandAugment: _draw_rand_augment,
    TrivialAugmentWide: _draw_trivial_augment,
    AutoAugment: _draw_auto_augment,
    AugMix: _draw_aug_mix,
}
_INTERPOLATIONS: dict[Any, Any] = {
    kind: kind.value for kind in (v2.InterpolationMode.NEAREST, v2.InterpolationMode.BILINEAR)
} | {"nearest": "nearest", "bilinear": "bilinear"}


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


def augmentation_of(option: str, choice: str | Sequence[str], side: int) -> Augmentation:
    """Creates the augmentation of a name, or the composition of several.

    Args:
        option: Name of the option, for messages.
        choice: A name in `AUGMENTATIONS`, or a list of names.
        side: Side of the images, in pixels.

    Raises:
        ValueError: If there is no such name, or the list is empty.
    """
    names = [choice] if isinstance(choice, str) else list(choice)
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(f"{option}: {name!r} is not one of {', '.join(AUGMENTATIONS)}")
    if not names:
        raise ValueError(f"{option}: the list is empty; name at least one of {', '.join(AUGMENTATIONS)}")
    augmentations = [AUGMENTATIONS[name](side) for name in names]
    return augmentations[0] if len(augmentations) == 1 else AugmentationChain(augmentations)
