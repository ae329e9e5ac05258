"""Decodes image files: the rules by which whatever Pillow reads becomes grey or colour images of 8 bits."""

import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from litzoo.datamodules.io.paths import require_file

FORMATS = (
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000", "DIB", "ICO", "CUR", "ICNS", "PCX"),
    *("DCX", "PSD", "QOI", "DDS", "BLP", "FTEX", "SGI", "SUN", "MSP", "PIXAR", "FLI", "FITS", "GBR", "XBM", "XPM"),
    *("XVTHUMB", "MCIDAS", "TGA", "IM", "SPIDER"),
)
"""Accepted file contents, whatever the file name. Left out of Pillow's are those that it cannot decode by itself, and
PostScript and Windows metafiles, which it would execute."""
PAGES = ("DCX", "FLI", "GIF", "PNG", "SPIDER", "TIFF", "WEBP", "AVIF")
"""Formats whose frames are pages; in others, such as a phone's MPO, further frames are previews or layers."""
ORIENTATION = 0x0112
"""EXIF tag of the camera's orientation."""
UNREAD = (".heic", ".heif", ".hif", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf")
"""Endings of photos of phones (HEIF) and of raw photos, which Pillow cannot decode."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Bytes 8 to 12 of HEIF files, after `ftyp`; phones and apps also name them `.jpg`."""
NAMED = 10
"""Number of files that an error names."""
Range = tuple[float, float]


class DamagedImageError(ValueError):
    """A file that cannot be read as an image, or several.

    Attributes:
        problems: Message about each of several files.
        total: Number of all files that were read.
    """

    problems: Sequence[str] = ()
    total = 0


@cache
def formats() -> tuple[str, ...]:
    """Returns the members of `FORMATS` that the installed Pillow knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def is_image(path: Path) -> bool:
    """Whether the content of a file, whatever its name, is an image in one of `FORMATS`, perhaps a damaged one."""
    try:
        require_file(path)
        with Image.open(path, formats=formats()):
            return True
    except Exception:
        return False


def open_image(path: Path, mode: str | None) -> Image.Image:
    """Decodes the first page of an image file, with the orientation in its EXIF data applied.

    Args:
        path: Path of the file.
        mode: `L` or `RGB`, with transparency composited on white; `None` for the pixel values as they are.

    Raises:
        DamagedImageError: If the file is not an image, or damaged; the message names it.
    """
    if mode is not None:
        return decode(path, mode, set())
    try:
        require_file(path)
        with Image.open(path, formats=formats()) as file:
            return ImageOps.exif_transpose(file)
    except Exception as error:
        raise _damage(path, error) from error


def decode(
    path: Path,
    mode: str,
    notes: set[str],
    needed: int | None = None,
    value_range: Range | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
    page: int = 0,
) -> Image.Image:
    """Decodes an image file to 8 bits per channel, with the orientation in its EXIF data applied.

    Args:
        path: Path of the file.
        mode: `L` (grey) or `RGB`.
        notes: Names of the decisions that were made are added; `litzoo.datamodules.io.decisions` describes them.
        needed: Pixels per side that are sufficient: larger JPEGs are decoded at a reduced size.
        value_range: Values of more than 8 bits that become 0 and 255; by default 0 and 65535.
        background: Colour that transparency is composited on.
        page: Number of the page, from 0.

    Raises:
        DamagedImageError: If the file is not an image, is damaged, has no such page, or holds values that need a
            `value_range`; the message names it.
    """
    try:
        require_file(path)
        with Image.open(path, formats=formats()) as file:
            if needed is not None:
                file.draft(mode, (needed, needed))
            _turn_to_page(file, page, notes)
            deep = _colours_of_16_bits(file, path)  # before the EXIF data, for which Pillow would decode the pixels
            if deep is None and _has_16_bit_channels(file) and not _is_deep(file):
                notes.add("upper bits")
            turned = file.getexif().get(ORIENTATION, 1) not in (0, 1)
            deep = levels_of(file, path) if deep is None else deep
            if deep is None:
                file.load()
                image: Image.Image = file
            else:
                image = _to_8_bits(deep, value_range, notes)
                image.getexif()[ORIENTATION] = file.getexif().get(ORIENTATION, 1)  # Pillow has turned a TIFF already
            if turned:
                notes.add("turned")
                image = ImageOps.exif_transpose(image)
        return _to_mode(image, mode, background, notes)
    except Exception as error:
        raise _damage(path, error) from error


def convert(
    image: Image.Image,
    mode: str,
    value_range: Range | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
) -> Image.Image:
    """Converts an image in memory as `decode` converts one in a file; see there.

    Raises:
        DamagedImageError: If it holds values that need a `value_range`.
    """
    notes: set[str] = set()
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            image = _to_8_bits(np.asarray(image), value_range, notes)
        return _to_mode(image, mode, background, notes)
    except Exception as error:
        raise DamagedImageError(f"the image in memory cannot be converted: {error}") from error


def levels_of(file: Image.Image, path: Path) -> np.ndarray | None:
    """Returns the pixels of an open file as they are, `[H, W]` or `[H, W, C]`, if they have more than 8 bits.

    Pillow keeps 16 bits of grey images only. PNGs of 16 bits in several channels are decoded by torchvision.
    """
    return np.asarray(file) if _is_deep(file) else _colours_of_16_bits(file, path)


def _is_deep(file: Image.Image) -> bool:
    return file.mode.startswith(("I", "F"))


def _colours_of_16_bits(file: Image.Image, path: Path) -> np.ndarray | None:
    if file.format != "PNG" or _is_deep(file) or not _has_16_bit_channels(file):
        return None
    try:  # deprecated in torchvision 0.29
        from torchvision.io import ImageReadMode, decode_image
    except ImportError:
        return None
    content = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return decode_image(content, ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy()


def _has_16_bit_channels(file: Image.Image) -> bool:
    """Whether the file has 16 bits per channel; Pillow would read the upper 8 of colours."""
    return any(";16" in str(tile[3]) for tile in getattr(file, "tile", []))


def _turn_to_page(file: Image.Image, page: int, notes: set[str]) -> None:
    pages = getattr(file, "n_frames", 1) if file.format in PAGES else 1
    if page >= pages:
        raise ValueError(f"it has {pages} page{'s' * (pages > 1)}, numbered from 0, but data.page is {page}")
    if pages > 1:
        notes.add("pages")
        file.seek(page)


def _to_8_bits(levels: np.ndarray, value_range: Range | None, notes: set[str]) -> Image.Image:
    """Scales values of more than 8 bits; Pillow would clip them, or drop the lower bits."""
    if value_range is None:
        if levels.dtype.kind == "f" or levels.min() < 0 or levels.max() > 65535:
            raise ValueError(
                "it holds values other than integers from 0 to 65535; set data.value_range, the values that become "
                "black and white, or save it with 8 or 16 bits"
            )
        value_range = (0, 65535)
    low, high = value_range
    notes.add("deep")
    values = np.nan_to_num(levels.astype(np.float64), nan=low)
    colours = values if values.ndim == 2 or values.shape[2] in (1, 3) else values[..., :-1]
    if colours.min() < low or colours.max() > high:
        notes.add("clipped")
    scaled = ((colours - low) / (high - low) * 255).clip(0, 255).round()
    if colours is not values:  # the last channel is opacity, which has no other range
        scaled = np.concatenate([scaled, (values[..., -1:] / 257).round()], axis=2)
    if scaled.ndim == 3 and scaled.shape[2] == 1:
        scaled = scaled[..., 0]
    return Image.fromarray(scaled.astype(np.uint8))


def _to_mode(image: Image.Image, mode: str, background: tuple[int, int, int], notes: set[str]) -> Image.Image:
    own = image.mode
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        lowest: Any = layers.getchannel("A").getextrema()
        if lowest[0] < 255:
            notes.add("transparent")
            image = Image.alpha_composite(Image.new("RGBA", layers.size, (*background, 255)), layers)
    grey = own in ("1", "L", "LA", "La")
    if own in ("CMYK", "P", "PA"):
        notes.add("CMYK" if own == "CMYK" else "palette")
    elif grey != (mode == "L"):
        notes.add("grey" if grey else "colour")
    return image if image.mode == mode else image.convert(mode)


def refusal(problems: Sequence[str], total: int, skip: str) -> DamagedImageError:
    """Returns the error about files that cannot be read, of which it names the first ten.

    Args:
        problems: Message about each of them.
        total: Number of all files.
        skip: How they are left out; empty if they cannot be.
    """
    skip = skip and f", or {skip}"
    message = f"{problems[0]}; repair or remove it{skip}"
    if len(problems) > 1:
        named = "\n  ".join([*problems[:NAMED], *(["..."] if problems[NAMED:] else [])])
        message = f"{len(problems):,} of {total:,} images cannot be read; repair or remove them{skip}:\n  {named}"
    error = DamagedImageError(message)
    error.problems, error.total = problems, total
    return error


def to_convert(names: Iterable[str]) -> str:
    """Returns the advice to convert photos, if there are any in a format that is not read; else nothing."""
    photo = next((name for name in names if name.lower().endswith(UNREAD)), None)
    return "" if photo is None else f"; convert HEIC and raw photos, such as {photo}, to JPEG or PNG"


def _damage(path: Path, error: Exception) -> DamagedImageError:
    reason = str(error) or type(error).__name__
    if _is_heif(path) or path.name.lower().endswith(UNREAD):
        reason = "it is a HEIC or raw photo; convert it to JPEG or PNG"
    return DamagedImageError(f"{path} cannot be read as an image: {reason}")


def _is_heif(path: Path) -> bool:
    try:
        require_file(path)
        with path.open("rb") as stream:
            start = stream.read(12)
    except OSError:
        return False
    return start[4:8] == b"ftyp" and start[8:] in HEIF_BRANDS
