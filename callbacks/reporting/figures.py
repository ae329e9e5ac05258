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

from litzoo.callbacks.files import in_one_step

DPI = 120


def new_figure(width: float, height: float, arranged: bool = True) -> Figure:
    """Returns an empty figure of a size in inches, drawn without a screen and outside pyplot's global state.

    Args:
        width: In inches.
        height: In inches.
        arranged: Whether matplotlib finds room for axes and labels, which takes as long as drawing them; otherwise
            the axes are given their places.
    """
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained" if arranged else None)


def publish_figure(trainer: Trainer, name: str, figure: Figure, run_folder: Path) -> None:
    """Writes a figure to `<run folder>/figures/<name>.png` and to TensorBoard where there is one.

    Args:
        trainer: Whose run it belongs to.
        name: Of the file and of the TensorBoard entry.
        figure: What to write.
        run_folder: Where to; ask `run_folder_of` for it on every process. Only the first one writes.
    """
    if not trainer.is_global_zero:
        return
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # the slow part, once for both
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    with in_one_step(run_folder / "figures" / f"{name}.png") as temporary:
        imsave(temporary, pixels, format="png")
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(f"figures/{name}", pixels, global_step=trainer.global_step, dataformats="HWC")


CELL = 1.35
"""Width of an image with its margin, in inches."""
NARROWEST = 5.5
"""Width that a heading needs, in inches."""
NAMES, HEADING = 0.45, 0.35
"""Room for the names of the rows and for the heading, in inches."""
MARGIN = 0.05
"""Around an image, in widths of a cell."""
LINE = 0.125
"""Height of a line of a caption, in widths of a cell."""


class Captioned(NamedTuple):
    """An image, uint8 `[C, H, W]`, with what is written above it."""

    image: Tensor
    caption: str
    colour: str = "black"


def in_rows(images: Sequence[Captioned], columns: int) -> list[Sequence[Captioned]]:
    """Breaks images into rows."""
    return [images[start : start + columns] for start in range(0, len(images), columns)]


def draw_image_rows(
    rows: Sequence[Sequence[Captioned]], heading: str, columns: int, names: Sequence[str] = ()
) -> Figure:
    """Draws images with captions, side by side.

    All are in one pair of axes, since a pair for each image takes four times as long.

    Args:
        rows: Of images, at most `columns` each; a row may be empty.
        heading: Above all of them.
        columns: Images that a row has room for.
        names: Of the rows, written on their left.
    """
    lines = max((each.caption.count("\n") + 1 for row in rows for each in row), default=1)
    tall = 1 + LINE * (lines + 0.5)
    indent = NAMES * bool(names)
    wide, high = max(NARROWEST, CELL * columns + indent), CELL * tall * max(1, len(rows)) + HEADING
    figure = new_figure(wide, high, arranged=False)
    panel = figure.add_axes((indent / wide, 0, 1 - indent / wide, 1 - HEADING / high))
    for number, row in enumerate(rows):
        floor = tall * (number + 1) - MARGIN
        for column, (image, caption, colour) in enumerate(row):
            height, width = image.shape[-2:]
            scale = (1 - 2 * MARGIN) / max(height, width)
            left, right = column + 0.5 - scale * width / 2, column + 0.5 + scale * width / 2
            pixels, extent = image.permute(1, 2, 0).squeeze(-1), (left, right, floor, floor - scale * height)
            panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
            top = floor - scale * height - 0.3 * LINE
            panel.text(column + 0.5, top, caption, ha="center", va="bottom", fontsize=8, color=colour)
    for number, name in enumerate(names):
        middle = tall * (number + 1) - 0.5
        panel.text(-0.1, middle, name, ha="right", va="center", multialignment="center", rotation=90, fontsize=9)
    panel.set(xlim=(0, columns), ylim=(tall * max(1, len(rows)), 0), aspect="equal")
    panel.axis("off")
    figure.suptitle(heading, fontsize=10, y=1 - 0.3 * HEADING / high)
    return figure
