"""Draws one sheet of single changes of training images: what each kind of augmentation does to these data."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as change

from litzoo.callbacks.reporting.figures import new_figure
from litzoo.datamodules import ImageDataModule

IMAGES = 2
"""Images that are drawn, of different classes."""
COLUMNS = 6
BILINEAR: dict[str, Any] = {"interpolation": InterpolationMode.BILINEAR}


def _affine(
    angle: float = 0, x: float = 0, y: float = 0, scale: float = 1, shear: float = 0
) -> Callable[[Tensor], Tensor]:
    """Returns a change that rotates by degrees, shifts by fractions of the size, zooms and shears by degrees."""

    def apply(image: Tensor) -> Tensor:
        shift = [round(x * image.shape[-1]), round(y * image.shape[-2])]
        return change.affine(image, angle, shift, scale, [shear, 0.0], **BILINEAR)

    return apply


def _cropped(image: Tensor) -> Tensor:
    """Returns the middle three quarters of an image, resized to its size."""
    height, width = image.shape[-2:]
    size = [max(1, round(0.75 * height)), max(1, round(0.75 * width))]
    return change.resize(change.center_crop(image, size), [height, width], antialias=True)


def _blurred(image: Tensor) -> Tensor:
    sigma = max(0.7, min(image.shape[-2:]) / 40)
    size = 2 * round(2 * sigma) + 1
    return change.gaussian_blur(image, [size, size], [sigma, sigma])


def _noisy(image: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = 25 * torch.randn(image.shape, generator=generator)
    return (image + noise).round().clamp(0, 255).to(torch.uint8)


def _grey(image: Tensor) -> Tensor:
    return change.rgb_to_grayscale(image, num_output_channels=3) if image.shape[-3] == 3 else image


CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "mirrored": (change.horizontal_flip, "RandomHorizontalFlip"),
    "upside down": (change.vertical_flip, "RandomVerticalFlip"),
    "shifted left": (_affine(x=-0.2), "RandomAffine(translate)"),
    "shifted right": (_affine(x=0.2), "RandomAffine(translate)"),
    "shifted up": (_affine(y=-0.2), "RandomAffine(translate)"),
    "shifted down": (_affine(y=0.2), "RandomAffine(translate)"),
    "rotated": (_affine(angle=30), "RandomRotation"),
    "sheared": (_affine(shear=25), "RandomAffine(shear)"),
    "zoomed in": (_affine(scale=1.4), "RandomAffine(scale)"),
    "zoomed out": (_affine(scale=0.7), "RandomAffine(scale)"),
    "cropped": (_cropped, "RandomResizedCrop"),
    "blurred": (_blurred, "GaussianBlur"),
    "brighter": (lambda image: change.adjust_brightness(image, 1.6), "ColorJitter(brightness)"),
    "darker": (lambda image: change.adjust_brightness(image, 0.5), "ColorJitter(brightness)"),
    "with noise": (_noisy, "GaussianNoise"),
    "grey": (_grey, "RandomGrayscale"),
}
"""Name -> a change of an image, uint8 `[C, H, W]`, and the transform of torchvision that draws it at random."""


def draw_changes(datamodule: ImageDataModule) -> Figure:
    """Draws single changes of the first training image of two classes, with the transforms that make them at random."""
    train = datamodule.train_set
    assert train is not None
    given = train.targets[train.indices]
    first = [int(torch.nonzero(given == label)[0]) for label in given.unique()[:IMAGES].tolist()]
    images = [train[position]["input"] for position in first]
    panels = ["original", *CHANGES]
    lines = -(-len(panels) // COLUMNS)
    figure = new_figure(2.0 * COLUMNS, (1.7 * len(images) + 0.5) * lines + 0.6)
    figure.suptitle("single changes; below, the transform of torchvision.transforms.v2 that draws them at random")
    grid = figure.subplots(lines * len(images), COLUMNS, squeeze=False)
    for panel in grid.flat:
        panel.axis("off")
    for number, name in enumerate(panels):
        apply, transform = CHANGES.get(name, (lambda image: image, ""))
        row, column = divmod(number, COLUMNS)
        for line, image in enumerate(images):
            panel = grid[row * len(images) + line, column]
            panel.imshow(apply(image).permute(1, 2, 0).squeeze(-1), cmap="gray", vmin=0, vmax=255)
            if line == 0:
                panel.set_title(name, fontsize=10)
            if line == len(images) - 1 and transform:
                panel.text(0.5, -0.04, transform, transform=panel.transAxes, ha="center", va="top", fontsize=7)
    return figure
