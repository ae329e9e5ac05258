"""Finds the samples that `--input` names, and the columns that are kept beside their predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from litzoo.datamodules.io.class_folders import images_in, warn_of_others
from litzoo.datamodules.io.decoding import to_convert
from litzoo.datamodules.io.map_datasets import inputs_of
from litzoo.datamodules.tables.csv_files import read_table

FILE_COLUMNS = ("file", "path", "filename", "image")
"""Names of a column of image files, in the order of preference."""


def image_files(place: Path) -> list[Path]:
    """Returns the image files that a path names: those in a folder and its subfolders, sorted, or the file itself.

    Raises:
        FileNotFoundError: If it does not exist, or is a folder without images.
    """
    place = place.expanduser()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: there is no such file or folder; name one with the images to predict")
    others: list[Path] = []
    if not (found := images_in(place, others)):
        advice = to_convert(map(str, others))
        raise FileNotFoundError(f"{place}: holds no image; name a folder with the images to predict{advice}")
    warn_of_others(place, others)
    return found


def listed_images(table: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """Returns the image files that a CSV lists, relative to its folder, and all its columns.

    Raises:
        FileNotFoundError: If it cannot be read, or an image is absent.
        ValueError: If it has no column of files.
    """
    frame, _ = read_table(table, "name a CSV file with --input", kept=None)
    column = next((name for name in FILE_COLUMNS if name in frame), None)
    if column is None:
        raise ValueError(
            f"{table}: none of its columns ({', '.join(frame.columns)}) lists image files; call one "
            f"{' or '.join(FILE_COLUMNS)}"
        )
    paths = [table.parent / (name or "") for name in frame[column]]
    if absent := [path for path in paths if not path.exists()]:
        raise FileNotFoundError(f"{table}: {len(absent)} of {len(paths)} files do not exist, the first is {absent[0]}")
    return paths, {name: frame[name].fillna("").tolist() for name in frame.columns}


def listed(inputs: Any) -> Any:
    """Returns a sequence of samples, each a path or an image, without the labels of a data set."""
    if isinstance(inputs, (str, Path)):
        return image_files(Path(inputs))
    if isinstance(inputs, Image.Image):
        return [inputs]
    if isinstance(inputs, np.ndarray):
        is_batch = inputs.ndim == 4 or (inputs.ndim == 3 and inputs.shape[2] not in (1, 3, 4))
        return list(inputs) if is_batch else [inputs]
    if isinstance(inputs, Tensor):
        return inputs if inputs.ndim == 4 else [inputs]
    is_other = isinstance(inputs, Mapping) or hasattr(inputs, "iloc")  # a dictionary or a data frame
    if hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__") and not is_other:
        return inputs_of("inputs", inputs)
    raise TypeError(
        f"inputs: {type(inputs).__name__} is neither a path nor an image; give a folder, a file, a Pillow image, an "
        "array, a tensor, a list of these, or a map-style data set"
    )
