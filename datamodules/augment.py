"""Random augmentation of a batch of pictures, every sample with a draw of its own.

torchvision's transforms draw once per call, so that a whole batch would get one and the same crop. These work on the
batch, on its device, on uint8 as well as float pictures, and fill with black what moves in from outside.
"""

from collections.abc import Callable, Sequence

from torch import Tensor
from torchvision.transforms.v2 import AugMix, AutoAugment, AutoAugmentPolicy, Compose, RandAugment, TrivialAugmentWide

from datamodules.per_sample import PerSample
from datamodules.random_appearance import RandomErase, RandomTone
from datamodules.random_geometry import RandomAffine, RandomFlip, RandomShift

Augmentation = Callable[[Tensor], Tensor]


def _strong() -> list[Augmentation]:
    return [RandomAffine(degrees=30, shift=0.125, scale=0.2), RandomTone(0.2, 0.5), RandomErase(0.5)]


def unchanged(pictures: Tensor) -> Tensor:
    """Returns the pictures as they are."""
    return pictures


AUGMENTATIONS: dict[str, Callable[[int], Augmentation]] = {
    "none": lambda side: unchanged,
    "shift": lambda side: RandomShift(max(1, side // 14)),
    "crop_flip": lambda side: Compose([RandomShift(max(1, side // 8)), RandomFlip()]),
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
"""What `augment` may name in a config: name -> a function of the picture's side in pixels -> the augmentation.

`shift` moves 28-pixel digits by up to 2 pixels; `crop_flip` is CIFAR's usual recipe, 4 pixels at a side of 32; `strong`
is for the second view of unlabeled pictures, `strong_flip` where a mirrored picture is of the same class. The policies
are torchvision's, with its defaults: AutoAugment's three (Cubuk et al. 2019), RandAugment (Cubuk et al. 2020),
TrivialAugment (Müller & Hutter 2021) and AugMix (Hendrycks et al. 2020, without its consistency loss).
"""


def augmentation_of(option: str, asked: str | Sequence[str], side: int) -> Augmentation:
    """Returns the augmentation of a name, or of several one after the other.

    Args:
        option: That asks for it, for the message.
        asked: A name in `AUGMENTATIONS`, or a list of them.
        side: Of the pictures, in pixels.

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
    return made[0] if len(made) == 1 else Compose(made)
