"""Images and instance masks in the layout of the Penn-Fudan pedestrians: PNGImages/X.png, PedMasks/X_mask.png."""

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
from litzoo.datamodules.io.paths import data_root, require_within
from litzoo.datamodules.segmentation.base import SegmentationDataModule
from litzoo.datamodules.segmentation.dataset import AnnotatedImage
from litzoo.datamodules.splits.core import HOLD_OUT_SEED, split_train_val

IMAGES, MASKS, SUFFIX = "PNGImages", "PedMasks", "_mask"
JPEG = (".jpg", ".jpeg")
MOST_OBJECTS = 1000
"""In one image; a file with more values is a photograph rather than a mask."""


def pairs_in(folder: Path, root: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Lists images with their masks, sorted, and what is wrong with those that have no partner, or several.

    Args:
        folder: Holds `PNGImages` and `PedMasks`.
        root: Folder that links in them may not lead out of.

    Raises:
        FileNotFoundError: If one of the two folders is absent, or holds no image.
        ValueError: If a link leads out of `root`.
    """
    problems: list[str] = []
    images, masks = (_by_stem(_files(folder / name, root), problems) for name in (IMAGES, MASKS))
    wanted = {f"{stem}{SUFFIX}": path for stem, path in images.items()}
    pairs = [(path, masks[stem]) for stem, path in wanted.items() if stem in masks]
    problems += [f"{path} has no mask {MASKS}/{stem}.png" for stem, path in wanted.items() if stem not in masks]
    problems += [f"{path} has no image in {IMAGES}" for stem, path in masks.items() if stem not in wanted]
    return pairs, problems


def read_pair(paths: tuple[Path, Path]) -> AnnotatedImage:
    """Reads an image and its mask, in which pixel value k is object k and 0 the background; all are of class 1.

    Raises:
        DamagedImageError: If one cannot be read, the mask has another size, more than one channel or no object, or is
            a JPEG; the message names it.
    """
    image_path, mask_path = paths
    if mask_path.suffix.lower() in JPEG:
        raise DamagedImageError(f"{mask_path} is a JPEG, which blurs the numbers of objects: save it as PNG")
    image = torch.from_numpy(np.array(open_image(image_path, "RGB"))).permute(2, 0, 1)
    mask = np.asarray(open_image(mask_path, None))
    if mask.ndim != 2 or mask.dtype.kind == "f":
        raise DamagedImageError(
            f"{mask_path} is no mask: its pixels have to be the numbers of objects, in one channel of whole numbers"
        )
    if mask.shape != image.shape[1:]:
        (high, wide), (height, width) = mask.shape, image.shape[1:]
        raise DamagedImageError(f"{mask_path} has {high}×{wide} pixels, its image {image_path} {height}×{width}")
    values = np.unique(mask)
    values = values[values != 0]
    if not 1 <= len(values) <= MOST_OBJECTS:
        found = "no object, all pixels are 0" if not len(values) else f"{len(values):,} objects; is it a photograph?"
        raise DamagedImageError(f"{mask_path} has {found}")
    return AnnotatedImage(image.contiguous(), _numbered(mask, values), torch.ones(len(values), dtype=torch.int64))


def _files(folder: Path, root: Path) -> list[Path]:
    files = images_in(folder, root) if folder.is_dir() else []
    if not files:
        raise FileNotFoundError(
            f"{folder} {'holds no image' if folder.is_dir() else 'is absent'}: images belong into {IMAGES}, and "
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


ORIGINAL = "PennFudanPed"
URL = f"https://www.cis.upenn.edu/~jshi/ped_html/{ORIGINAL}.zip"
NAMED = 5  # files in a warning


class PennFudanDataModule(SegmentationDataModule):
    """170 street scenes with 345 pedestrians (Wang et al. 2007), or any images with masks in the same layout.

    `<folder>/PNGImages/X.png` are images and `<folder>/PedMasks/X_mask.png` their masks, in which pixel value k is
    object k and 0 the background; or there are two such folders, `<folder>/train` and `<folder>/test`. Without these, a
    test set is held out, the same whatever the seed. The original is downloaded when absent.

    Args:
        folder: Within `root`; links in it may lead to other places within `root`.
        class_name: What the objects are.
        test_size: Images that are held out for testing where there is no folder for them: a count or a fraction.
        corrupt: Whether an image or a mask that cannot be used (damaged, without its partner, of different sizes, no
            object in it) is refused, or left out with a warning.
        root: See `BaseDataModule`.
        **options: See `SegmentationDataModule` and `BaseDataModule`.

    Raises:
        FileNotFoundError: If the images or the masks are absent.
        ValueError: If something leads out of `root`, or cannot be used and is not to be left out.
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
            raise ValueError(f"data.corrupt: {corrupt!r} is neither refuse nor skip")
        if not folder:
            raise ValueError("data.folder: is empty; name a folder with PNGImages and PedMasks")
        if not isinstance(test_size, (int, float)) or test_size <= 0:
            raise ValueError(f"data.test_size: {test_size}; give a count of at least 1, or a fraction above 0")
        super().__init__(root=root, **options)
        self.folder = data_root(root) / folder
        require_within(self.folder, self.root)
        self.class_names = (class_name,)
        self.test_size, self.corrupt = test_size, corrupt
        self.left_out: dict[str, list[str]] = {}
        self._parts: dict[str, tuple[list[str], list[AnnotatedImage]]] = {}  # names and images, once read

    def prepare_data(self) -> None:
        """Downloads the original unless it is there."""
        if self.folder == self.root / ORIGINAL:
            download_once(self.folder, lambda root: download_and_extract_archive(URL, root))

    def read(self, train: bool) -> Sequence[AnnotatedImage]:
        """Returns all images of a part.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If one cannot be used and is not to be left out; the message names it.
        """
        names, samples, chosen = self._chosen(train)
        self.files["train" if train else "test"] = [names[position] for position in chosen]
        return [samples[position] for position in chosen]

    def identity(self) -> dict[str, Tensor]:
        """Returns the names of the training files: another file at the same position is another image."""
        names, _, chosen = self._chosen(train=True)
        text = "\n".join(Path(names[position]).stem for position in chosen)
        return {"names": torch.frombuffer(bytearray(os.fsencode(text)), dtype=torch.uint8)}

    def split_report(self) -> dict[str, Any]:
        """Adds the files that were left out."""
        return super().split_report() | ({"left_out": self.left_out} if self.left_out else {})

    def _chosen(self, train: bool) -> tuple[list[str], list[AnnotatedImage], list[int]]:
        """Returns names and images of a folder, and which of them belong to a part."""
        part = "train" if train else "test"
        there = [name for name in ("train", "test") if (self.folder / name).is_dir()]
        if len(there) == 1:
            raise ValueError(f"{self.folder} has a folder {there[0]}: it needs train and test, or neither")
        names, samples = self._read(part if there else "")
        if there:
            return names, samples, list(range(len(samples)))
        objects = torch.tensor([float(len(sample.labels)) for sample in samples])
        try:
            held_out = split_train_val(objects, None, self.test_size, HOLD_OUT_SEED)
        except ValueError as error:
            raise ValueError(str(error).replace("val_size", "data.test_size")) from error
        return names, samples, (held_out.train if train else held_out.val).tolist()

    def _read(self, name: str) -> tuple[list[str], list[AnnotatedImage]]:
        if name not in self._parts:
            pairs, problems = pairs_in(self.folder / name, self.root)
            names, samples = [], []
            for (path, _), found in zip(pairs, in_threads(_attempt, pairs), strict=True):
                if isinstance(found, DamagedImageError):
                    problems.append(str(found))
                else:
                    names.append(path.name)
                    samples.append(found)
            self._tell(name, problems, len(samples))
            self._parts[name] = names, samples
        return self._parts[name]

    def _tell(self, name: str, problems: list[str], usable: int) -> None:
        if not problems:
            return
        if self.corrupt == "refuse" or not usable:
            more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
            raise ValueError(
                f"{problems[0]}{more}: repair or remove it, or leave such files out with data.corrupt skip"
            )
        self.left_out[name or "all"] = problems
        named = "; ".join(problems[:NAMED]) + ("; and others, all in splits.json" if problems[NAMED:] else "")
        rank_zero_warn(f"{len(problems)} images or masks are left out, {usable} are used: {named}")


def _attempt(paths: tuple[Path, Path]) -> AnnotatedImage | DamagedImageError:
    try:
        return read_pair(paths)
    except DamagedImageError as error:
        return error
