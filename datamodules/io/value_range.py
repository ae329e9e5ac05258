"""The range of the values in images of more than 8 bits."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from litzoo.datamodules.io.decoding import Range, formats, levels_of
from litzoo.datamodules.io.paths import require_file
from litzoo.datamodules.io.threads import in_threads

EIGHT_BITS = (b"\xff\xd8\xff", b"GIF8", b"BM")
"""First bytes of formats that never have more than 8 bits per channel."""
PNG, PNG_BITS = b"\x89PNG", 24
"""First bytes of a PNG, and the position of its number of bits per channel."""


def measured_range(paths: Sequence[Path], page: int = 0) -> Range | None:
    """Returns the smallest and the largest value in those images that have more than 8 bits per channel.

    Infinite values and NaN are ignored, as are files that cannot be read. Opacity does not count.

    Args:
        paths: Image files of any depth.
        page: Number of the page of files with several, from 0.

    Returns:
        The range, or `None` if all images have 8 bits.
    """
    found = [each for each in in_threads(lambda path: range_of(path, page), paths) if each is not None]
    if not found:
        return None
    return _spread(min(low for low, _ in found), max(high for _, high in found))


def range_of(path: Path, page: int = 0) -> Range | None:
    """Returns the same of a single image."""
    try:
        require_file(path)
        with path.open("rb") as stream:
            start = stream.read(PNG_BITS + 1)
        if start.startswith(EIGHT_BITS) or (start.startswith(PNG) and start[PNG_BITS] <= 8):
            return None
        with Image.open(path, formats=formats()) as file:
            if page and page < getattr(file, "n_frames", 1):
                file.seek(page)
            levels = levels_of(file, path)
    except Exception:  # the file is refused or left out where it is read
        return None
    if levels is None:
        return None
    if levels.ndim == 3 and levels.shape[2] in (2, 4):
        levels = levels[..., :-1]
    finite = levels[np.isfinite(levels)]
    return _spread(float(finite.min()), float(finite.max())) if finite.size else None


def _spread(low: float, high: float) -> Range:
    """Returns the range, one wide if all values are the same."""
    return low, max(high, low + 1) if high == low else high
