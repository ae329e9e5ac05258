"""The range of the values in images of more than 8 bits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from PIL import Image
from torch import Tensor

from litzoo.datamodules.io.decoding import Range, formats, levels_of
from litzoo.datamodules.io.paths import require_file
from litzoo.datamodules.io.threads import in_threads

EIGHT_BITS = (b"\xff\xd8\xff", b"GIF8", b"BM")
"""First bytes of formats that never have more than 8 bits per channel."""
FULL_RANGE = (0.0, 65535.0)
"""Values of 16 bits that become black and white if nothing else is known."""
NARROW = 0.25
"""Images whose brightest pixel is below this fraction of the range are taken for images of fewer bits, such as 12."""
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
    return spanned(in_threads(lambda path: range_of(path, page), paths))


def spanned(ranges: Sequence[Range | None]) -> Range | None:
    """Returns the range that several span, if there are any."""
    found = [each for each in ranges if each is not None]
    return _spread(min(low for low, _ in found), max(high for _, high in found)) if found else None


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


def range_in_memory(images: Sequence[Any]) -> Range | None:
    """Returns the same of Pillow images and arrays in memory; others, such as tensors of 8 bits, are ignored."""
    found: list[Range | None] = []
    for image in () if isinstance(images, Tensor) else images:
        deep = isinstance(image, Image.Image) and image.mode.startswith(("I", "F"))
        levels = np.asarray(image) if deep else image
        if isinstance(levels, np.ndarray) and levels.dtype != np.uint8 and levels.dtype.kind in "uif" and levels.size:
            finite = levels[np.isfinite(levels)]
            found += [(float(finite.min()), float(finite.max()))] if finite.size else []
    return spanned(found)


def warn_of_range(found: Range | None, expected: Range | None, where: str, fix: str, outside: bool = True) -> None:
    """Warns of values of more than 8 bits that would come out nearly black, or be clipped.

    Args:
        found: Range of the values in the images, if any have more than 8 bits.
        expected: Values that become black and white; `None` for 0 and 65535.
        where: What the images are, for the message.
        fix: How the range is set.
        outside: Whether to warn of values outside of the expected range, too.
    """
    if found is None:
        return
    low, high = expected or FULL_RANGE
    read = (
        f"{where}: pixels of more than 8 bits go from {found[0]:g} to {found[1]:g}, but {low:g} is read as black and "
        f"{high:g} as white"
    )
    if found[1] - low <= (high - low) * NARROW:
        rank_zero_warn(f"{read}, so that the images are nearly black; {fix}")
    elif outside and (found[0] < low or found[1] > high):
        rank_zero_warn(f"{read}, and what is outside is clipped; {fix}")


def _spread(low: float, high: float) -> Range:
    """Returns the range, one wide if all values are the same."""
    return low, max(high, low + 1) if high == low else high
