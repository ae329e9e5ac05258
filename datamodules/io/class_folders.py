"""Images without labels, for a finished model to look at."""

import re
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from litzoo.datamodules.io.paths import require_within

IMAGES = {*IMG_EXTENSIONS, ".gif"}
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and what Python makes of bytes that are no UTF-8."""


def class_names_in(folder: Path, root: Path, least: int = 2) -> tuple[str, ...]:
    """Names the folders in a folder, sorted; hidden ones are passed over.

    Args:
        folder: Where they are.
        root: Folder that neither this one nor links in it may lead out of.
        least: How many there have to be.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds fewer than `least`, one of them is a link that leads out of `root`, or a link leads
            nowhere.
    """
    require_within(folder, root)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is no folder; data.folder is looked up in data.root, or in the environment variable "
            "LITZOO_DATA_DIR"
        )
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in found:
        if path.is_symlink() and not path.exists():
            raise ValueError(f"{path} is a link that leads nowhere; repair or remove it")
        if path.is_symlink() and path.is_dir():
            require_within(path, root)
    names = sorted(path.name for path in found if path.is_dir())
    if len(names) < least:
        wanted, those = "two" if least == 2 else "one", f" ({', '.join(names)})" if names else ""
        raise ValueError(f"{folder}: {len(names)} class folders{those}; it needs at least {wanted}")
    for name in names:
        if UNPRINTABLE.search(name):
            raise ValueError(f"{folder}: the class folder {name!a} has no name that can be shown; rename it")
    return tuple(names)


def images_in(folder: Path, root: Path) -> list[Path]:
    """Lists the image files in a folder and the folders within, sorted.

    Hidden files and folders are passed over, and linked folders within are not followed.

    Raises:
        ValueError: If one is a link that leads out of `root`.
    """
    images = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.is_dir()
    )
    for path in images:
        if path.is_symlink():
            require_within(path, root)
    return images


def new_images(folder: str) -> tuple[list[Path], list[str]]:
    """Lists the images in a folder and the folders within, sorted.

    Args:
        folder: Anywhere; a path as on any command line.

    Returns:
        The files, and their names within the folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If one is a link that leads out of the folder.
    """
    place = Path(folder).expanduser()
    paths = images_in(place, place) if folder and place.is_dir() else []
    if not paths:
        raise FileNotFoundError(
            f"data.predict_folder: {folder!r} {'holds no image' if folder and place.is_dir() else 'is no folder'}; "
            "name one with the images to predict"
        )
    return paths, [path.relative_to(place).as_posix() for path in paths]
