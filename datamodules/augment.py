"""Random augmentation of a batch of pictures, every sample with a draw of its own.

torchvision's transforms draw once per call, so that a whole batch would get one and the same crop. These work on the
batch, on its device, on uint8 as well as float pictures, and fill with black what moves in from outside.
"""

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms.v2 import Compose

from datamodules.random_appearance import RandomErase, RandomTone
from datamodules.random_geometry import RandomAffine, RandomFlip, RandomShift

Augmentation = Callable[[Tensor], Tensor]


def _strong() -> list[Augmentation]:
    return [RandomAffine(degrees=30, shift=0.125, scale=0.2), RandomTone(0.2, 0.5), RandomErase(0.5)]


AUGMENTATIONS: dict[str, Callable[[int], Augmentation]] = {
    "none": lambda side: lambda pictures: pictures,
    "shift": lambda side: RandomShift(max(1, side // 14)),
    "crop_flip": lambda side: Compose([RandomShift(max(1, side // 8)), RandomFlip()]),
    "affine": lambda side: RandomAffine(degrees=10, shift=2 / 28, scale=0.1),
    "strong": lambda side: Compose(_strong()),
    "strong_flip": lambda side: Compose([RandomFlip(), *_strong()]),
}
"""What `augment` may name in a config: name -> a function of the picture's side in pixels -> the augmentation.

`shift` moves 28-pixel digits by up to 2 pixels; `crop_flip` is CIFAR's usual recipe, 4 pixels at a side of 32; `strong`
is for the second view of unlabeled pictures, `strong_flip` where a mirrored picture is of the same class.
"""
