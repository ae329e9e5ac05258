"""Lists class folders and image files."""

import re
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from litzoo.datamodules.io.decoding import is_image
from litzoo.datamodules.io.paths import require_within

EXTENSIONS = {*IMG_EXTENSIONS, ".gif"}
"""Endings of image files; a file with another one is an image if its content is."""
DESKTOP_FILES = ("thumbs.db", "desktop.ini")
"""Files that desktops write into folders of images, and hide."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and the surrogates that Python decodes invalid UTF-8 to."""


def class_names_in(folder: Path, root: Path, least: int = 2) -> tuple[str, ...]:
    """Returns the names of the folders in a folder, sorted, without hidden ones.

    Args:
        folder: Folder that holds the class folders.
        root: Folder that must contain it, and the targets of all links in it.
        least: Minimum number of class folders.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds fewer than `least` folders, or a link that is broken or leads out of `root`.
    """
    require_within(folder, root)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder; data.folder is relative to data.root, which defaults to the environment "
            "variable LITZOO_DATA_DIR"
        )
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in found:
        if path.is_symlink() and not path.exists():
            raise ValueError(f"{path} is a broken link; repair or remove it")
        if path.is_symlink() and path.is_dir():
            require_within(path, root)
    names = sorted(path.name for path in found if path.is_dir())
    if len(names) < least:
        found_names = f" ({', '.join(names)})" if names else ""
        raise ValueError(f"{folder}: {len(names)} class folders{found_names}; it needs at least {least}")
    for name in names:
        if UNPRINTABLE.search(name):
            raise ValueError(f"{folder}: the class folder {name!a} has a name that cannot be displayed; rename it")
    return tuple(names)


def images_in(folder: Path, root: Path, others: list[Path] | None = None) -> list[Path]:
    """Lists the image files in a folder and its subfolders, sorted.

    Hidden files and folders are ignored, and links to folders are not followed. A file is an image by its content,
    whatever its name; one that is named like an image is listed too, so that damage is found.

    Args:
        folder: The folder.
        root: Folder that must contain the targets of links.
        others: Files that are no images are added.

    Raises:
        ValueError: If an image is a link that leads out of `root`.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name.lower() not in DESKTOP_FILES
        and not path.is_dir()
    )
    images = []
    for path in files:
        if path.suffix.lower() in EXTENSIONS or is_image(path):
            if path.is_symlink():
                require_within(path, root)
            images.append(path)
        elif others is not None:
            others.append(path)
    return images


def images_to_predict(folder: str) -> tuple[list[Path], list[str]]:
    """Lists the images in the folder that `data.predict_folder` names and in its subfolders, sorted.

    Args:
        folder: A path, which need not be within `data.root`; `~` is expanded.

    Returns:
        The paths of the files, and their names relative to the folder.

    Raises:
        FileNotFoundError: If there is no image.
        ValueError: If an image is a link that leads out of the folder.
    """
    place = Path(folder).expanduser()
    paths = images_in(place, place) if folder and place.is_dir() else []
    if not paths:
        raise FileNotFoundError(
            f"data.predict_folder: {folder!r} {'holds no image' if folder and place.is_dir() else 'is not a folder'}; "
            "name one with the images to predict"
        )
    return paths, [path.relative_to(place).as_posix() for path in paths]
