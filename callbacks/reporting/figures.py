"""Drawing without pyplot, grids of captioned images, and publishing figures to file and TensorBoard."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from torch import Tensor

from litzoo.callbacks.files import atomic_write

DPI = 120
CARD_WIDTH = 4.2
"""Width in inches up to which text is legible on a card of TensorBoard, which is 350 pixels wide."""
CARD_COLUMNS = 3
"""Images in a row of such a figure."""
CARD_IMAGES = 12
"""Images in such a figure."""
CHARACTERS_PER_INCH = 13
"""Of a heading."""
_GAP = 20
"""Pixels between panels that are one below the other."""
_CELL = 1.35
"""Width of an image with its margin, in inches."""
_MIN_WIDTH = 5.5
"""Width of a figure below which its heading would not fit, in inches."""
_ROW_NAME_WIDTH, _HEADING_HEIGHT = 0.45, 0.35
"""Space for the row names and for the heading, in inches."""
_MARGIN = 0.05
"""Margin around an image, in cell widths."""
_LINE = 0.125
"""Height of a caption line, in cell widths."""


def new_figure(width: float, height: float, constrained: bool = True) -> Figure:
    """Returns an empty figure that needs no display and is not part of pyplot's global state.

    Args:
        width: In inches.
        height: In inches.
        constrained: Whether to use matplotlib's constrained layout, which takes as long as drawing; otherwise the
            caller positions the axes.
    """
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained" if constrained else None)


def publish_figure(
    trainer: Trainer, name: str, figure: Figure, run_folder: Path, card: Figure | None = None, panels: int = 1
) -> None:
    """Saves a figure as `<run folder>/figures/<name>.png`, and logs it to TensorBoard if the trainer has such a logger.

    Args:
        trainer: The trainer of the run. Only the process of rank 0 writes.
        name: Name of the file and of the TensorBoard image.
        figure: The figure.
        run_folder: From `run_folder_of`, which every process has to call.
        card: A smaller figure for TensorBoard, at most `CARD_WIDTH` wide; by default the same.
        panels: Number of equally wide panels side by side in the figure. Without a card, TensorBoard shows them one
            below the other, which takes no time, unlike a second drawing.
    """
    if not trainer.is_global_zero:
        return
    pixels = _drawn(figure)  # slow, so only once for file and TensorBoard
    with atomic_write(run_folder / "figures" / f"{name}.png") as temporary:
        imsave(temporary, pixels, format="png")
    boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    if boards and card is not None:
        pixels = _drawn(card)
    elif panels > 1:
        pixels = _stacked(pixels, panels)
    for logger in boards:
        logger.experiment.add_image(f"figures/{name}", pixels, global_step=trainer.global_step, dataformats="HWC")


def _stacked(pixels: np.ndarray, panels: int) -> np.ndarray:
    """Returns panels of a figure, uint8 `[H, W, 3]`, one below the other, without what is empty below each."""
    parts = np.array_split(pixels, panels, axis=1)
    drawn = [np.flatnonzero((part < 255).any(axis=(1, 2))) for part in parts]
    heights = [(int(rows[-1]) if len(rows) else 0) + _GAP for rows in drawn]
    width = min(part.shape[1] for part in parts)
    return np.concatenate([part[:height, :width] for part, height in zip(parts, heights, strict=True)])


def _drawn(figure: Figure) -> np.ndarray:
    """Returns the pixels of a figure, uint8 `[H, W, 3]`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


class CaptionedImage(NamedTuple):
    """An image, uint8 `[C, H, W]`, and the caption above it."""

    image: Tensor
    caption: str
    colour: str = "black"


def split_into_rows(images: Sequence[CaptionedImage], columns: int) -> list[Sequence[CaptionedImage]]:
    """Splits images into rows of at most `columns`."""
    return [images[start : start + columns] for start in range(0, len(images), columns)]


def draw_image_rows(
    rows: Sequence[Sequence[CaptionedImage]], heading: str, columns: int, names: Sequence[str] = ()
) -> Figure:
    """Draws a grid of images with captions.

    All are drawn into one axes object: one for each image would take four times as long.

    Args:
        rows: Images of each row, at most `columns`; a row may be empty.
        heading: Title of the figure.
        columns: Width of the grid, in images.
        names: Names of the rows, written on their left.
    """
    lines = max((each.caption.count("\n") + 1 for row in rows for each in row), default=1)
    tall = 1 + _LINE * (lines + 0.5)
    indent = _ROW_NAME_WIDTH * bool(names)
    wide = _CELL * columns + indent
    if columns == CARD_COLUMNS:
        heading = textwrap.fill(heading, int(CHARACTERS_PER_INCH * wide))
    else:
        wide = max(_MIN_WIDTH, wide)
    heading_height = _HEADING_HEIGHT * (1 + 0.5 * heading.count("\n"))
    high = _CELL * tall * max(1, len(rows)) + heading_height
    figure = new_figure(wide, high, constrained=False)
    panel = figure.add_axes((indent / wide, 0, 1 - indent / wide, 1 - heading_height / high))
    for number, row in enumerate(rows):
        floor = tall * (number + 1) - _MARGIN
        for column, (image, caption, colour) in enumerate(row):
            height, width = image.shape[-2:]
            scale = (1 - 2 * _MARGIN) / max(height, width)
            left, right = column + 0.5 - scale * width / 2, column + 0.5 + scale * width / 2
            pixels, extent = image.permute(1, 2, 0).squeeze(-1), (left, right, floor, floor - scale * height)
            panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
            top = floor - scale * height - 0.3 * _LINE
            panel.text(column + 0.5, top, caption, ha="center", va="bottom", fontsize=8, color=colour)
    for number, name in enumerate(names):
        middle = tall * (number + 1) - 0.5
        panel.text(-0.1, middle, name, ha="right", va="center", multialignment="center", rotation=90, fontsize=9)
    panel.set(xlim=(0, columns), ylim=(tall * max(1, len(rows)), 0), aspect="equal")
    panel.axis("off")
    figure.suptitle(heading, fontsize=10, y=1 - 0.3 * _HEADING_HEIGHT / high)
    return figure
