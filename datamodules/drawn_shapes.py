"""Pictures of overlapping shapes, drawn without any library of graphics, so that masks are exact to the pixel."""

import numpy as np
import torch

from datamodules.segmentation_dataset import AnnotatedPicture

SHAPES = ("circle", "square", "triangle")
ATTEMPTS = 60
LEAST_SEEN = 0.65
"""Share of every shape that stays in sight."""


def draw_shapes(part: int, number: int, side: int) -> AnnotatedPicture:
    """Draws a picture: always the same for the same arguments, whatever was drawn before.

    Args:
        part: Keeps training and test pictures apart.
        number: Of the picture.
        side: Height and width in pixels.
    """
    random = np.random.RandomState([part, number])
    across = (np.arange(side) + 0.5) / side  # centres of the pixels, on a scale from 0 to 1
    x, y = across[None, :], across[:, None]
    ground = random.uniform(40, 215, 3)
    picture = ground * (1 + _slope(random, x, y)[..., None])
    instances = np.zeros((side, side), np.uint8)
    areas: list[int] = []
    labels: list[int] = []
    colours = [ground]
    wanted = random.randint(2, 7)
    for _ in range(ATTEMPTS):
        shape = random.randint(len(SHAPES))
        covered = _covered(random, shape, x, y)
        colour = _colour(random, colours)
        shading = 1 + _slope(random, x, y)[..., None]
        hidden = np.bincount(instances[covered], minlength=len(areas) + 1)[1:]
        seen = np.bincount(instances.ravel(), minlength=len(areas) + 1)[1:] - hidden
        if (seen < LEAST_SEEN * np.array(areas)).any():
            continue
        labels.append(shape + 1)
        areas.append(int(covered.sum()))
        colours.append(colour)
        instances[covered] = len(labels)
        picture = np.where(covered[..., None], colour * shading, picture)
        if len(labels) == wanted:
            break
    picture = picture + random.normal(0, random.uniform(2, 10), picture.shape)
    pixels = torch.from_numpy(picture.clip(0, 255).round().astype(np.uint8)).permute(2, 0, 1).contiguous()
    return AnnotatedPicture(pixels, torch.from_numpy(instances), torch.tensor(labels))


def _covered(random: np.random.RandomState, shape: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Places a shape at random, wholly inside; returns which pixels have their centre in it, bool `[H, W]`."""
    radius = random.uniform(0.13, 0.24)  # of the circle around it
    left, top = random.uniform(radius, 1 - radius, 2)
    angle = random.uniform(0, 2 * np.pi)
    if SHAPES[shape] == "circle":
        return (x - left) ** 2 + (y - top) ** 2 <= radius**2
    corners = 4 if SHAPES[shape] == "square" else 3
    sides = angle + 2 * np.pi * np.arange(corners) / corners
    # A regular polygon is what lies on the inner side of each of its sides.
    distances = [(x - left) * np.cos(each) + (y - top) * np.sin(each) for each in sides]
    return np.max(distances, axis=0) <= radius * np.cos(np.pi / corners)


def _slope(random: np.random.RandomState, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns a gradient in a random direction, from up to -0.2 to 0.2."""
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0, 0.4)
    return strength * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))


def _colour(random: np.random.RandomState, others: list[np.ndarray]) -> np.ndarray:
    """Returns a colour that can be told from those of the background and of other shapes."""
    while True:
        colour = random.uniform(20, 235, 3)
        if min(np.abs(colour - other).max() for other in others) > 50:
            return colour
