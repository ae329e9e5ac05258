"""Images and instance masks in the layout of Penn-Fudan: PNGImages/X.png and PedMasks/X_mask.png."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchvision.datasets.utils import download_and_extract_archive

from litzoo.datamodules.io.class_folders import images_in
from litzoo.datamodules.io.downloads import download_once
from litzoo.datamodules.io.images import DamagedImageError, in_threads, open_image
from litzoo.datamodules.io.paths import data_root, find_path
from litzoo.datamodules.segmentation.base import SegmentationDataModule
from litzoo.datamodules.segmentation.dataset import AnnotatedImage
from litzoo.datamodules.splits.core import HOLD_OUT_SEED, split_train_val

ORIGINAL = "PennFudanPed"
URL = f"https://www.cis.upenn.edu/~jshi/ped_html/{ORIGINAL}.zip"
IMAGES, MASKS, SUFFIX = "PNGImages", "PedMasks", "_mask"
JPEG = (".jpg", ".jpeg")
MOST_OBJECTS = 1000
"""Largest number of objects in an image; a file with more values is probably a photograph, not a mask."""
WARNED_FILES = 5
"""Number of files that a warning lists."""


def pairs_in(folder: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Lists pairs of image and mask, sorted, and messages about files without a partner or with several.

    Args:
        folder: Folder that holds `PNGImages` and `PedMasks`.

    Raises:
        FileNotFoundError: If one of the two folders is absent, or holds no image.
    """
    problems: list[str] = []
    images, masks = (_by_stem(_files(folder / name), problems) for name in (IMAGES, MASKS))
    by_mask = {f"{stem}{SUFFIX}": path for stem, path in images.items()}
    pairs = [(path, masks[stem]) for stem, path in by_mask.items() if stem in masks]
    problems += [f"{path} has no mask {MASKS}/{stem}.png" for stem, path in by_mask.items() if stem not in masks]
    problems += [f"{path} has no image in {IMAGES}" for stem, path in masks.items() if stem not in by_mask]
    return pairs, problems


def read_pair(paths: tuple[Path, Path]) -> AnnotatedImage:
    """Reads an image and its mask, in which pixel value k is object k and 0 the background; all objects are of class 1.

    Raises:
        DamagedImageError: If a file cannot be read, or the mask is a JPEG, differs in size, has more than one channel
            or no object; the message names the file.
    """
    image_path, mask_path = paths
    if mask_path.suffix.lower() in JPEG:
        raise DamagedImageError(f"{mask_path} is a JPEG, whose compression changes object numbers: save it as PNG")
    image = torch.from_numpy(np.array(open_image(image_path, "RGB"))).permute(2, 0, 1)
    mask = np.asarray(open_image(mask_path, None))
    if mask.ndim != 2 or mask.dtype.kind == "f":
        raise DamagedImageError(
            f"{mask_path} is not a mask: its pixels must be the numbers of objects, in one channel of integers"
        )
    if mask.shape != image.shape[1:]:
        (rows, columns), (height, width) = mask.shape, image.shape[1:]
        raise DamagedImageError(f"{mask_path} has {rows}×{columns} pixels, its image {image_path} {height}×{width}")
    values = np.unique(mask)
    values = values[values != 0]
    if not 1 <= len(values) <= MOST_OBJECTS:
        content = "no object, all pixels are 0" if not len(values) else f"{len(values):,} objects; is it a photograph?"
        raise DamagedImageError(f"{mask_path} has {content}")
    return AnnotatedImage(image.contiguous(), _numbered(mask, values), torch.ones(len(values), dtype=torch.int64))


def _files(folder: Path) -> list[Path]:
    files = images_in(folder) if folder.is_dir() else []
    if not files:
        raise FileNotFoundError(
            f"{folder} {'holds no image' if folder.is_dir() else 'is absent'}: put images into {IMAGES}, and a mask "
            f"X{SUFFIX}.png for each X.png into {MASKS}; set data.folder to their folder, in the working folder or in "
            "data.root, which defaults to the environment variable LITZOO_DATA_DIR"
        )
    return files


def _by_stem(files: list[Path], problems: list[str]) -> dict[str, Path]:
    """Returns file stem -> path; appends a message to `problems` for a file with the stem of an earlier one."""
    found: dict[str, Path] = {}
    for path in files:
        if (first := found.setdefault(path.stem, path)) != path:
            problems.append(f"{path} has the same name as {first}, up to folder and suffix; keep one of them")
    return found


def _numbered(mask: np.ndarray, values: np.ndarray) -> Tensor:
    """Renumbers the objects from 1 without gaps."""
    numbers = np.where(mask == 0, 0, np.searchsorted(values, mask) + 1)
    return torch.from_numpy(numbers.astype(np.uint8 if len(values) < 256 else np.int32))


class PennFudanDataModule(SegmentationDataModule):
    """Penn-Fudan: 170 street scenes with 345 pedestrians (Wang et al. 2007), or any images and masks in its layout.

    `<folder>/PNGImages/X.png` are images and `<folder>/PedMasks/X_mask.png` their masks, in which pixel value k is
    object k and 0 the background; `<folder>` may also hold two such folders `train` and `test`. Without these, a test
    set is held out, independently of the seed. The original data set is downloaded if absent.

    Args:
        folder: Folder, looked up in the working folder, then in `root`; symbolic links are followed.
        class_name: Name of the class of all objects.
        test_size: Number of images to hold out for testing if there is no `test` folder: a count or a fraction.
        corrupt: `refuse` raises for an image or mask that cannot be used (damaged, without a partner, different sizes,
            no object), `skip` leaves it out with a warning.
        root: See `BaseDataModule`.
        **options: See `SegmentationDataModule` and `BaseDataModule`.

    Raises:
        FileNotFoundError: If the images or the masks are absent.
        ValueError: If a file cannot be used and `corrupt` is `refuse`.
    """

    split_by = (*SegmentationDataModule.split_by, "folder", "test_size", "corrupt")

    def __init__(
        self,
        folder: str = ORIGINAL,
        class_name: str = "pedestrian",
        test_size: int | float = 0.2,
        corrupt: Literal["refuse", "skip"] = "refuse",
        root: str | None = None,
        **options: Any,
    ) -> None:
        if corrupt not in ("refuse", "skip"):
            raise ValueError(f"data.corrupt: {corrupt!r} is not one of refuse, skip")
        if not folder:
            raise ValueError("data.folder: is empty; name a folder that holds PNGImages and PedMasks")
        if not isinstance(test_size, (int, float)) or test_size <= 0:
            raise ValueError(f"data.test_size: {test_size}; give a count of at least 1, or a fraction above 0")
        super().__init__(root=root, **options)
        self.folder = find_path(folder, data_root(root))
        self.class_names = (class_name,)
        self.test_size, self.corrupt = test_size, corrupt
        self.left_out: dict[str, list[str]] = {}
        self._parts: dict[str, tuple[list[str], list[AnnotatedImage]]] = {}  # names and images that have been read

    def prepare_data(self) -> None:
        """Downloads the original data set if it is used and absent."""
        if self.folder == self.root / ORIGINAL:
            download_once(self.folder, lambda root: download_and_extract_archive(URL, root))

    def read(self, train: bool) -> Sequence[AnnotatedImage]:
        """Returns all images of the training or test set.

        Raises:
            FileNotFoundError: If there is no image.
            ValueError: If an image or mask cannot be used and `corrupt` is `refuse`; the message names it.
        """
        names, samples, chosen = self._select(train)
        self.files["train" if train else "test"] = [names[position] for position in chosen]
        return [samples[position] for position in chosen]

    def identity(self) -> dict[str, Tensor]:
        """Returns the names of the training files: an index with another file is another image."""
        names, _, chosen = self._select(train=True)
        text = "\n".join(Path(names[position]).stem for position in chosen)
        return {"names": torch.frombuffer(bytearray(os.fsencode(text)), dtype=torch.uint8)}

    def split_report(self) -> dict[str, Any]:
        """Adds the files that were left out."""
        return super().split_report() | ({"left_out": self.left_out} if self.left_out else {})

    def _select(self, train: bool) -> tuple[list[str], list[AnnotatedImage], list[int]]:
        """Returns names and images of a folder, and the indices of those in the training or test set."""
        part = "train" if train else "test"
        parts = [name for name in ("train", "test") if (self.folder / name).is_dir()]
        if len(parts) == 1:
            raise ValueError(f"{self.folder} has a folder {parts[0]}: it needs both train and test, or neither")
        names, samples = self._read(part if parts else "")
        if parts:
            return names, samples, list(range(len(samples)))
        objects = torch.tensor([float(len(sample.labels)) for sample in samples])
        try:
            held_out = split_train_val(objects, None, self.test_size, HOLD_OUT_SEED)
        except ValueError as error:
            raise ValueError(str(error).replace("val_size", "data.test_size")) from error
        return names, samples, (held_out.train if train else held_out.val).tolist()

    def _read(self, name: str) -> tuple[list[str], list[AnnotatedImage]]:
        if name not in self._parts:
            pairs, problems = pairs_in(self.folder / name)
            names, samples = [], []
            for (path, _), found in zip(pairs, in_threads(_read_pair_or_error, pairs), strict=True):
                if isinstance(found, DamagedImageError):
                    problems.append(str(found))
                else:
                    names.append(path.name)
                    samples.append(found)
            self._report_problems(name, problems, len(samples))
            self._parts[name] = names, samples
        return self._parts[name]

    def _report_problems(self, name: str, problems: list[str], usable: int) -> None:
        if not problems:
            return
        if self.corrupt == "refuse" or not usable:
            more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
            raise ValueError(
                f"{problems[0]}{more}: repair or remove it, or set data.corrupt to skip to leave such files out"
            )
        self.left_out[name or "all"] = problems
        named = "; ".join(problems[:WARNED_FILES]) + (
            "; and others, listed in splits.json" if problems[WARNED_FILES:] else ""
        )
        rank_zero_warn(f"{len(problems)} images or masks are left out, {usable} are used: {named}")


def _read_pair_or_error(paths: tuple[Path, Path]) -> AnnotatedImage | DamagedImageError:
    try:
        return read_pair(paths)
    except DamagedImageError as error:
        return error
