"""Reads back the images that `draw_image_rows` has drawn into a figure."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure


class DrawnImage(NamedTuple):
    """An image in a figure: its position in the grid, its pixels and its caption."""

    row: int
    column: int
    pixels: np.ndarray
    caption: str
    colour: str


def drawn_images(figure: Figure) -> list[DrawnImage]:
    """Returns the images of a figure in drawing order, each with the caption just above it."""
    panel = figure.axes[0]
    left, right = panel.get_xlim()
    assert left == 0
    floors = {image.get_extent()[2] for image in panel.images}
    tall = panel.get_ylim()[0] / (len(row_names(figure)) or max(1, len(floors)))
    found = []
    for image in panel.images:
        start, end, floor, top = image.get_extent()
        assert 0 < start < end < right
        places = {text: text.get_position() for text in panel.texts if text.get_ha() == "center"}
        (above,) = [text for text, (x, y) in places.items() if start < x < end and 0 < top - y < 0.1]
        pixels = np.asarray(image.get_array())
        found.append(DrawnImage(int(floor // tall), int(start), pixels, above.get_text(), above.get_color()))
    return found


def row_names(figure: Figure) -> list[str]:
    """Returns the names on the left of the rows."""
    return [text.get_text() for text in figure.axes[0].texts if text.get_ha() == "right"]
