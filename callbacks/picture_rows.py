from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from callbacks.figures import new_figure

CELL = 1.35
"""Width of a picture with its margin, in inches."""
NARROWEST = 5.5
"""Width that a heading needs, in inches."""
NAMES, HEADING = 0.45, 0.35
"""Room for the names of the rows and for the heading, in inches."""
MARGIN = 0.05
"""Around a picture, in widths of a cell."""
LINE = 0.125
"""Height of a line of a caption, in widths of a cell."""


class Captioned(NamedTuple):
    """A picture, uint8 `[C, H, W]`, with what is written above it."""

    picture: Tensor
    caption: str
    colour: str = "black"


def in_rows(pictures: Sequence[Captioned], columns: int) -> list[Sequence[Captioned]]:
    """Breaks pictures into rows."""
    return [pictures[start : start + columns] for start in range(0, len(pictures), columns)]


def draw_picture_rows(
    rows: Sequence[Sequence[Captioned]], heading: str, columns: int, names: Sequence[str] = ()
) -> Figure:
    """Draws pictures with captions, side by side.

    All are in one pair of axes, since a pair for each picture takes four times as long.

    Args:
        rows: Of pictures, at most `columns` each; a row may be empty.
        heading: Above all of them.
        columns: Pictures that a row has room for.
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
        for column, (picture, caption, colour) in enumerate(row):
            height, width = picture.shape[-2:]
            scale = (1 - 2 * MARGIN) / max(height, width)
            left, right = column + 0.5 - scale * width / 2, column + 0.5 + scale * width / 2
            pixels, extent = picture.permute(1, 2, 0).squeeze(-1), (left, right, floor, floor - scale * height)
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
