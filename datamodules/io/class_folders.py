"""Lists class folders and image files."""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn
from torchvision.datasets.folder import IMG_EXTENSIONS

from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.decoding import is_image, to_convert

EXTENSIONS = {*IMG_EXTENSIONS, ".gif"}
"""Endings of image files; a file with another one is an image if its content is."""
DESKTOP_FILES = ("thumbs.db", "desktop.ini")
"""Files that desktops write into folders of images, and hide."""
DESKTOP_FOLDERS = ("__macosx", "@eadir", "lost+found", "system volume information", "$recycle.bin")
"""Folders that macOS writes into archives, Synology into shared folders, and systems onto disks."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and the surrogates that Python decodes invalid UTF-8 to."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or written by a desktop for itself."""
    return name.startswith(".") or name.lower() in DESKTOP_FOLDERS + DESKTOP_FILES


def class_folders_in(folder: Path, least: int = 2) -> dict[str, list[Path]]:
    """Returns class name -> its folder, sorted by name, without hidden folders; links are followed.

    Names that differ only in their Unicode form are one class, which then has several folders: file systems store an
    umlaut as one character (NFC) or as two (NFD).

    Args:
        folder: Folder that holds the class folders.
        least: Minimum number of classes.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds fewer than `least` classes, a broken link, or a name that cannot be displayed.
    """
    if not folder.is_dir():
        archive = " (it is a file: unpack an archive first)" if folder.is_file() else ""
        raise FileNotFoundError(
            f"{folder} is not a folder{archive}; data.folder is looked up in the working folder, then in data.root, "
            "which defaults to the environment variable LITZOO_DATA_DIR"
        )
    found = [path for path in folder.iterdir() if not is_hidden(path.name)]
    for path in found:
        if path.is_symlink() and not path.exists():
            raise ValueError(f"{path} is a broken link; repair or remove it")
    folders: dict[str, list[Path]] = {}
    for path in sorted(path for path in found if path.is_dir()):
        if UNPRINTABLE.search(path.name):
            raise ValueError(f"{folder}: the class folder {path.name!a} has a name that cannot be displayed; rename it")
        folders.setdefault(unicodedata.normalize("NFC", path.name), []).append(path)
    if len(folders) < least:
        names = f" ({', '.join(sorted(folders))})" if folders else ""
        table = "" if folders else ", or name a CSV file of file and label in data.labels_file"
        raise ValueError(f"{folder}: {len(folders)} class folders{names}; it needs at least {least}{table}")
    return dict(sorted(folders.items()))


def images_in(folder: Path, others: list[Path] | None = None) -> list[Path]:
    """Lists the image files in a folder and its subfolders, sorted.

    Hidden files and folders are ignored; links are followed, but for those to a folder that they are in or that is
    listed already. A file is an
    image by its content, whatever its name; one that is named like an image is listed too, so that damage is found.

    Args:
        folder: The folder.
        others: Files that are no images are added.
    """
    images = []
    for path in _files_in(folder):
        if is_image_file(path):
            images.append(path)
        elif others is not None:
            others.append(path)
    return images


def is_image_file(path: Path) -> bool:
    """Whether a file is named like an image, or is one by its content."""
    return path.suffix.lower() in EXTENSIONS or is_image(path)


def _files_in(folder: Path) -> list[Path]:
    """Returns the visible files in a folder and its subfolders, sorted; of several links to a folder, one is followed.

    A link to a folder that this one is in is not followed.
    """
    files: list[Path] = []
    listed: set[Path] = set()
    starts, top = [folder], folder.resolve()
    while starts:
        start = starts.pop(0)
        if start != folder and top.is_relative_to(start.resolve()):
            continue
        for place, folders, names in os.walk(start):
            if (own := Path(place).resolve()) in listed:
                folders.clear()
                continue
            listed.add(own)
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            starts += [path for name in folders if (path := Path(place, name)).is_symlink()]
            files += [Path(place, name) for name in names if not is_hidden(name)]
    return sorted(files)


def images_to_predict(folder: str) -> tuple[list[Path], list[str]]:
    """Lists the images in the folder that `data.predict_folder` names and in its subfolders, sorted.

    Args:
        folder: A path, which need not be within `data.root`; `~` is expanded.

    Returns:
        The paths of the files, and their names relative to the folder.

    Raises:
        FileNotFoundError: If there is no image.
    """
    place = Path(folder).expanduser()
    others: list[Path] = []
    paths = images_in(place, others) if folder and place.is_dir() else []
    if not paths:
        raise FileNotFoundError(
            f"data.predict_folder: {folder!r} {'holds no image' if folder and place.is_dir() else 'is not a folder'}; "
            f"name one with the images to predict{to_convert(map(str, others))}"
        )
    warn_of_others(place, others)
    return paths, [path.relative_to(place).as_posix() for path in paths]


def warn_of_others(folder: Path, others: Sequence[Path]) -> None:
    """Names the files in a folder of new images that are left out since they are no images."""
    if others:
        named = ", ".join(path.relative_to(folder).as_posix() for path in others[:10]) + (
            ", ..." if others[10:] else ""
        )
        left_out = counted(
            len(others), "file is left out, which is no image", "files are left out, which are no images"
        )
        rank_zero_warn(f"{folder}: {left_out}: {named}{to_convert(map(str, others))}")
