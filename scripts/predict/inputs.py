"""Finds the samples that `--input` names, and the columns that are kept beside their predictions."""

from pathlib import Path

from litzoo.datamodules.io.class_folders import images_in
from litzoo.datamodules.tables.csv import read_columns

FILE_COLUMNS = ("file", "path", "filename", "image")
"""Names of a column of image files, in the order of preference."""


def image_files(place: Path) -> list[Path]:
    """Returns the image files that a path names: those in a folder and its subfolders, sorted, or the file itself.

    Raises:
        FileNotFoundError: If it does not exist, or is a folder without images.
        ValueError: If an image in the folder is a link that leads out of it.
    """
    place = place.expanduser()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: there is no such file or folder; name one with the images to predict")
    if not (found := images_in(place, place)):
        raise FileNotFoundError(f"{place}: holds no image; name a folder with the images to predict")
    return found


def listed_images(table: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """Returns the image files that a CSV lists, relative to its folder, and all its columns.

    Raises:
        ValueError: If it has no column of files.
    """
    columns = read_columns(table, "name a CSV file with --input")
    column = next((name for name in FILE_COLUMNS if name in columns), None)
    if column is None:
        raise ValueError(
            f"{table}: none of its columns ({', '.join(columns)}) lists the images; name one of them "
            f"{', '.join(FILE_COLUMNS)}"
        )
    return [table.parent / name for name in columns[column]], columns
