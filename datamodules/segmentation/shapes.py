"""Synthetic images of overlapping shapes; drawn without a graphics library, so that masks are exact to the pixel."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from litzoo.datamodules.segmentation.base import SegmentationDataModule
from litzoo.datamodules.segmentation.dataset import AnnotatedImage

SHAPES = ("circle", "square", "triangle")
ATTEMPTS = 60
LEAST_VISIBLE = 0.65
"""Smallest visible fraction of a shape."""
TEST_IMAGES = 100


def draw_shapes(part: int, number: int, side: int) -> AnnotatedImage:
    """Draws an image as a function of the arguments only.

    Args:
        part: 0 for training and 1 for test images.
        number: Number of the image.
        side: Height and width in pixels.
    """
    random = np.random.RandomState([part, number])
    across = (np.arange(side) + 0.5) / side  # pixel centres, on a scale from 0 to 1
    x, y = across[None, :], across[:, None]
    ground = random.uniform(40, 215, 3)
    image = ground * (1 + _slope(random, x, y)[..., None])
    instances = np.zeros((side, side), np.uint8)
    areas: list[int] = []
    labels: list[int] = []
    colours = [ground]
    count = random.randint(2, 7)
    for _ in range(ATTEMPTS):
        shape = random.randint(len(SHAPES))
        covered = _covered(random, shape, x, y)
        colour = _colour(random, colours)
        shading = 1 + _slope(random, x, y)[..., None]
        hidden = np.bincount(instances[covered], minlength=len(areas) + 1)[1:]
        visible = np.bincount(instances.ravel(), minlength=len(areas) + 1)[1:] - hidden
        if (visible < LEAST_VISIBLE * np.array(areas)).any():
            continue
        labels.append(shape + 1)
        areas.append(int(covered.sum()))
        colours.append(colour)
        instances[covered] = len(labels)
        image = np.where(covered[..., None], colour * shading, image)
        if len(labels) == count:
            break
    image = image + random.normal(0, random.uniform(2, 10), image.shape)
    pixels = torch.from_numpy(image.clip(0, 255).round().astype(np.uint8)).permute(2, 0, 1).contiguous()
    return AnnotatedImage(pixels, torch.from_numpy(instances), torch.tensor(labels))


def _covered(random: np.random.RandomState, shape: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Places a shape at random, completely inside the image, and returns its mask of pixel centres, bool `[H, W]`."""
    radius = random.uniform(0.13, 0.24)  # of the circumscribed circle
    left, top = random.uniform(radius, 1 - radius, 2)
    angle = random.uniform(0, 2 * np.pi)
    if SHAPES[shape] == "circle":
        return (x - left) ** 2 + (y - top) ** 2 <= radius**2
    corners = 4 if SHAPES[shape] == "square" else 3
    sides = angle + 2 * np.pi * np.arange(corners) / corners
    # A regular polygon is the intersection of the half planes of its sides.
    distances = [(x - left) * np.cos(each) + (y - top) * np.sin(each) for each in sides]
    return np.max(distances, axis=0) <= radius * np.cos(np.pi / corners)


def _slope(random: np.random.RandomState, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns a gradient in a random direction, within -0.2 to 0.2."""
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0, 0.4)
    return strength * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))


def _colour(random: np.random.RandomState, others: list[np.ndarray]) -> np.ndarray:
    """Returns a colour that differs clearly from the background and the other shapes."""
    while True:
        colour = random.uniform(20, 235, 3)
        if min(np.abs(colour - other).max() for other in others) > 50:
            return colour


class ShapesDataModule(SegmentationDataModule):
    """Synthetic images of overlapping circles, squares and triangles with exact masks: no download.

    Every image depends on its number only, not on the seed: 2 to 6 shapes of random colours, with shading and noise, on
    a background with a gradient. At least 65 % of each shape are visible, and masks cover the visible part. The test
    set has 100 separate images.

    Args:
        images: Number of images in the full training set.
        side: Height and width in pixels.
        **options: See `SegmentationDataModule` and `BaseDataModule`; `root` is not used.

    Raises:
        ValueError: If `images` is less than 2, or `side` less than 32.
    """

    class_names = SHAPES
    split_by = (*SegmentationDataModule.split_by, "images", "side")

    def __init__(self, images: int = 200, side: int = 96, **options: Any) -> None:
        for name, value, least in [("images", images, 2), ("side", side, 32)]:
            if value < least:
                raise ValueError(f"data.{name}: {value} is too small; give at least {least}")
        super().__init__(**options)
        self.images, self.side = images, side

    def read(self, train: bool) -> Sequence[AnnotatedImage]:
        """Draws all images of the training or test set."""
        return _drawn(0, self.images, self.side) if train else _drawn(1, TEST_IMAGES, self.side)


@cache
def _drawn(part: int, count: int, side: int) -> Sequence[AnnotatedImage]:
    return [draw_shapes(part, number, side) for number in range(count)]
