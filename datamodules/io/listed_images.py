"""The images that a table names, as people and programs write their paths."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path


def listed_image(folder: Path, file: str) -> Path:
    """Returns the path of an image that a table names, one path for all ways to write it.

    Args:
        folder: Folder that names are relative to.
        file: Its name: with `.` and `..`, as an absolute path, with the backslashes of Windows, or with the accents of
            its letters composed or not, as Windows and macOS have them.
    """
    ways = [file, file.replace("\\", "/")]  # on Linux and macOS a backslash may be part of a name
    ways += [unicodedata.normalize(form, way) for form in ("NFC", "NFD") for way in ways]
    image, *others = dict.fromkeys(ways)
    written = _normalised(folder, image)
    if not others or written.is_file():
        return written
    return next((found for way in others if (found := _normalised(folder, way)).is_file()), written)


def _normalised(folder: Path, file: str) -> Path:
    """Returns a path that begins with the folder as it is given, if the image is within it or named relative to it."""
    for start in dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder))):
        path = Path(os.path.normpath(os.path.join(start, file)))
        if path.is_relative_to(start):
            return folder / path.relative_to(start)
    return Path(os.path.normpath(file)) if os.path.isabs(file) else folder / os.path.normpath(file)


def in_other_case(folder: Path, absent: Sequence[Path], present: Sequence[Path]) -> dict[Path, Path]:
    """Returns absent image -> the one of this name in other case, such as `.JPG` for `.jpg`, where there is one.

    Args:
        folder: Folder of the images.
        absent: Paths without a file.
        present: The images in the folder.
    """
    by_name = {str(each).lower(): each for each in present}
    return {each: by_name[str(each).lower()] for each in absent if str(each).lower() in by_name}
