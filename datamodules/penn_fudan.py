import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchvision.datasets.utils import download_and_extract_archive

from datamodules.data_root import data_root
from datamodules.downloads import download_once
from datamodules.instance_files import pairs_in, read_pair
from datamodules.picture_files import DamagedPictureError, in_threads
from datamodules.segmentation import SegmentationDataModule
from datamodules.segmentation_dataset import AnnotatedPicture
from datamodules.splits import HOLD_OUT_SEED, split_train_val
from datamodules.within import require_within

ORIGINAL = "PennFudanPed"
URL = f"https://www.cis.upenn.edu/~jshi/ped_html/{ORIGINAL}.zip"
NAMED = 5  # files in a warning


class PennFudanDataModule(SegmentationDataModule):
    """170 street scenes with 345 pedestrians (Wang et al. 2007), or any pictures with masks in the same layout.

    `<folder>/PNGImages/X.png` are pictures and `<folder>/PedMasks/X_mask.png` their masks, in which pixel value k is
    object k and 0 the background; or there are two such folders, `<folder>/train` and `<folder>/test`. Without these, a
    test set is held out, the same whatever the seed. The original is downloaded when absent.

    Args:
        folder: Within `root`; links in it may lead to other places within `root`.
        class_name: What the objects are.
        test_size: Pictures that are held out for testing where there is no folder for them: a count or a fraction.
        corrupt: Whether a picture or a mask that cannot be used (damaged, without its partner, of different sizes, no
            object in it) is refused, or left out with a warning.
        root: See `BaseDataModule`.
        **options: See `SegmentationDataModule` and `BaseDataModule`.

    Raises:
        FileNotFoundError: If the pictures or the masks are absent.
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
        self._parts: dict[str, tuple[list[str], list[AnnotatedPicture]]] = {}  # names and pictures, once read

    def prepare_data(self) -> None:
        """Downloads the original unless it is there."""
        if self.folder == self.root / ORIGINAL:
            download_once(self.folder, lambda root: download_and_extract_archive(URL, root))

    def read(self, train: bool) -> Sequence[AnnotatedPicture]:
        """Returns all pictures of a part.

        Raises:
            FileNotFoundError: If there are none.
            ValueError: If one cannot be used and is not to be left out; the message names it.
        """
        names, samples, chosen = self._chosen(train)
        self.files["train" if train else "test"] = [names[position] for position in chosen]
        return [samples[position] for position in chosen]

    def identity(self) -> dict[str, Tensor]:
        """Returns the names of the training files: another file at the same position is another picture."""
        names, _, chosen = self._chosen(train=True)
        text = "\n".join(Path(names[position]).stem for position in chosen)
        return {"names": torch.frombuffer(bytearray(os.fsencode(text)), dtype=torch.uint8)}

    def split_report(self) -> dict[str, Any]:
        """Adds the files that were left out."""
        return super().split_report() | ({"left_out": self.left_out} if self.left_out else {})

    def _chosen(self, train: bool) -> tuple[list[str], list[AnnotatedPicture], list[int]]:
        """Returns names and pictures of a folder, and which of them belong to a part."""
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

    def _read(self, name: str) -> tuple[list[str], list[AnnotatedPicture]]:
        if name not in self._parts:
            pairs, problems = pairs_in(self.folder / name, self.root)
            names, samples = [], []
            for (path, _), found in zip(pairs, in_threads(_attempt, pairs), strict=True):
                if isinstance(found, DamagedPictureError):
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
        rank_zero_warn(f"{len(problems)} pictures or masks are left out, {usable} are used: {named}")


def _attempt(paths: tuple[Path, Path]) -> AnnotatedPicture | DamagedPictureError:
    try:
        return read_pair(paths)
    except DamagedPictureError as error:
        return error
