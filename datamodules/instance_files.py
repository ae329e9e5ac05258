"""Pictures and instance masks in the layout of the Penn-Fudan pedestrians: PNGImages/X.png, PedMasks/X_mask.png."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.class_folders import pictures_in
from datamodules.picture_files import DamagedPictureError, open_picture
from datamodules.segmentation_dataset import AnnotatedPicture

PICTURES, MASKS, SUFFIX = "PNGImages", "PedMasks", "_mask"
JPEG = (".jpg", ".jpeg")
MOST_OBJECTS = 1000
"""In one picture; a file with more values is a photograph rather than a mask."""


def pairs_in(folder: Path, root: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Lists pictures with their masks, sorted, and what is wrong with those that have no partner, or several.

    Args:
        folder: Holds `PNGImages` and `PedMasks`.
        root: Folder that links in them may not lead out of.

    Raises:
        FileNotFoundError: If one of the two folders is absent, or holds no picture.
        ValueError: If a link leads out of `root`.
    """
    problems: list[str] = []
    pictures, masks = (_by_stem(_files(folder / name, root), problems) for name in (PICTURES, MASKS))
    wanted = {f"{stem}{SUFFIX}": path for stem, path in pictures.items()}
    pairs = [(path, masks[stem]) for stem, path in wanted.items() if stem in masks]
    problems += [f"{path} has no mask {MASKS}/{stem}.png" for stem, path in wanted.items() if stem not in masks]
    problems += [f"{path} has no picture in {PICTURES}" for stem, path in masks.items() if stem not in wanted]
    return pairs, problems


def read_pair(paths: tuple[Path, Path]) -> AnnotatedPicture:
    """Reads a picture and its mask, in which pixel value k is object k and 0 the background; all are of class 1.

    Raises:
        DamagedPictureError: If one cannot be read, the mask has another size, more than one channel or no object, or is
            a JPEG; the message names it.
    """
    picture_path, mask_path = paths
    if mask_path.suffix.lower() in JPEG:
        raise DamagedPictureError(f"{mask_path} is a JPEG, which blurs the numbers of objects: save it as PNG")
    picture = torch.from_numpy(np.array(open_picture(picture_path, "RGB"))).permute(2, 0, 1)
    mask = np.asarray(open_picture(mask_path, None))
    if mask.ndim != 2 or mask.dtype.kind == "f":
        raise DamagedPictureError(
            f"{mask_path} is no mask: its pixels have to be the numbers of objects, in one channel of whole numbers"
        )
    if mask.shape != picture.shape[1:]:
        (high, wide), (height, width) = mask.shape, picture.shape[1:]
        raise DamagedPictureError(f"{mask_path} has {high}×{wide} pixels, its picture {picture_path} {height}×{width}")
    values = np.unique(mask)
    values = values[values != 0]
    if not 1 <= len(values) <= MOST_OBJECTS:
        found = "no object, all pixels are 0" if not len(values) else f"{len(values):,} objects; is it a photograph?"
        raise DamagedPictureError(f"{mask_path} has {found}")
    return AnnotatedPicture(picture.contiguous(), _numbered(mask, values), torch.ones(len(values), dtype=torch.int64))


def _files(folder: Path, root: Path) -> list[Path]:
    files = pictures_in(folder, root) if folder.is_dir() else []
    if not files:
        raise FileNotFoundError(
            f"{folder} {'holds no picture' if folder.is_dir() else 'is absent'}: pictures belong into {PICTURES}, and "
            f"a mask X{SUFFIX}.png for each X.png into {MASKS}; their folder is named with data.folder, and looked up "
            "in data.root or the environment variable LITZOO_DATA_DIR"
        )
    return files


def _by_stem(files: list[Path], problems: list[str]) -> dict[str, Path]:
    """Returns the files by their names without the ending; of two with one name the first, the other is a problem."""
    found: dict[str, Path] = {}
    for path in files:
        if (first := found.setdefault(path.stem, path)) != path:
            problems.append(f"{path} has the same name as {first}, whatever folder and ending; keep one of them")
    return found


def _numbered(mask: np.ndarray, values: np.ndarray) -> Tensor:
    """Numbers the objects from 1 without gaps."""
    numbers = np.where(mask == 0, 0, np.searchsorted(values, mask) + 1)
    return torch.from_numpy(numbers.astype(np.uint8 if len(values) < 256 else np.int32))
