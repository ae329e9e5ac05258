"""Pictures without labels, for a finished model to look at."""

from pathlib import Path

from datamodules.class_folders import pictures_in


def new_pictures(folder: str) -> tuple[list[Path], list[str]]:
    """Lists the pictures in a folder and the folders within, sorted.

    Args:
        folder: Anywhere; a path as on any command line.

    Returns:
        The files, and their names within the folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If one is a link that leads out of the folder.
    """
    place = Path(folder).expanduser()
    paths = pictures_in(place, place) if folder and place.is_dir() else []
    if not paths:
        raise FileNotFoundError(
            f"data.predict_folder: {folder!r} {'holds no picture' if folder and place.is_dir() else 'is no folder'}; "
            "name one with the pictures to predict"
        )
    return paths, [path.relative_to(place).as_posix() for path in paths]
