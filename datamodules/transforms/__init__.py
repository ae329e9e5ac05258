"""Random augmentation of whole batches, with parameters drawn for each sample."""

from litzoo.datamodules.transforms.alternating import AlternatingFlip, ReflectedShift
from litzoo.datamodules.transforms.appearance import RandomErase, RandomTone
from litzoo.datamodules.transforms.geometry import RandomAffine, RandomFlip, RandomShift
from litzoo.datamodules.transforms.masks import QuarterTurn
from litzoo.datamodules.transforms.policies import PerSample

__all__ = [
    "AlternatingFlip",
    "PerSample",
    "QuarterTurn",
    "RandomAffine",
    "RandomErase",
    "RandomFlip",
    "RandomShift",
    "RandomTone",
    "ReflectedShift",
]
