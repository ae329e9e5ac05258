"""Where labeled images are: in class folders, with or without folders for training, validation and test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from litzoo.datamodules.class_spellings import warn_of_spellings
from litzoo.datamodules.io.class_folders import class_folders_in, images_in, is_hidden, is_image_file
from litzoo.datamodules.io.decoding import to_convert

PART_NAMES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Name of a folder, or of a split in a CSV file, in lower case -> part."""


class ImageLayout(Protocol):
    """Labeled images and the part that each belongs to.

    Attributes:
        class_names: Names of the classes of the training part, in the order of their labels.
        parts: The parts that the files name: `train`, and perhaps `val` and `test`.
        left_out: Reason -> names of the files and folders that no part has.
    """

    class_names: tuple[str, ...]
    parts: tuple[str, ...]
    left_out: dict[str, list[str]]

    def files(self, part: str) -> tuple[list[Path], Tensor]:
        """Returns the files of a part, ordered by class and name, and their labels, int64 `[n]`.

        Raises:
            ValueError: If the part has no image, lacks one of a training class, or has a class that training lacks.
        """
        ...


class ClassFolders:
    """One folder per class, within folders `train`, `val` and `test` or not.

    The folders of the parts are recognised by the usual names in any case: `train` or `training`; `val`, `valid` or
    `validation`; `test` or `testing`. If one of them holds images but no folders, it is a class itself.

    Args:
        folder: Folder that holds the class folders or the parts.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it has fewer than two class folders, two folders for the same part, or parts without training.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places = self._find_parts()
        self.parts: tuple[str, ...] = tuple(part for part in ("train", "val", "test") if part in self._places)
        self._classes = {"train": class_folders_in(self._places["train"])}
        warn_of_spellings(self._classes["train"], str(self._places["train"]))
        self.class_names = tuple(self._classes["train"])
        self.left_out: dict[str, list[str]] = {}
        known = {path for place in self._places.values() for path in (place, place.parent)} & {folder}
        files = [path for place in {*self._places.values(), *known} for path in _visible(place) if not path.is_dir()]
        loose = [path for path in files if is_image_file(path) or to_convert([path.name])]
        if self._places["train"] != folder:
            loose += [path for path in _visible(folder) if path.is_dir() and path not in self._places.values()]
        if loose:
            names = sorted(path.relative_to(folder).as_posix() + ("/" if path.is_dir() else "") for path in loose)
            self.left_out["not in a class folder"] = names

    def files(self, part: str) -> tuple[list[Path], Tensor]:
        """Returns the files of a part and their labels; raises as `ImageLayout.files`."""
        place = self._places[part]
        if part not in self._classes:
            self._classes[part] = class_folders_in(place, least=1)
        classes = self._classes[part]
        if extra := set(classes) - set(self.class_names):
            raise ValueError(
                f"{place} has class folders that the training set does not have: {', '.join(sorted(extra))}; put "
                "unknown classes into a separate folder and name it in data.unknowns"
            )
        others: list[Path] = []
        by_class = [
            [path for each in classes.get(name, ()) for path in images_in(each, others)] for name in self.class_names
        ]
        if others:
            self.left_out[f"no images, in {part}"] = [path.relative_to(self.folder).as_posix() for path in others]
        empty = [name for name, paths in zip(self.class_names, by_class, strict=True) if not paths]
        if empty and (part == "train" or len(empty) == len(by_class)):
            advice = to_convert(map(str, others))
            raise ValueError(f"{place}: no image in the class folder {', '.join(empty)}; fill or remove it{advice}")
        counts = torch.tensor([len(paths) for paths in by_class])
        return [path for paths in by_class for path in paths], torch.arange(len(by_class)).repeat_interleave(counts)

    def _find_parts(self) -> dict[str, Path]:
        """Returns the folder of each part; the whole folder is the training part if no folder names one."""
        found: dict[str, list[Path]] = {}
        others: list[Path] = []
        for path in _visible(self.folder) if self.folder.is_dir() else []:
            if path.is_dir():
                part = PART_NAMES.get(path.name.lower())
                (others if part is None else found.setdefault(part, [])).append(path)
        hold_images = [path for paths in found.values() for path in paths if not any(map(Path.is_dir, _visible(path)))]
        if not found or (others and len(hold_images) == sum(map(len, found.values()))):
            return {"train": self.folder}  # none, or classes that happen to be called so
        for part, paths in found.items():
            if len(paths) > 1:
                names = ", ".join(path.name for path in paths)
                raise ValueError(f"{self.folder} has several folders for {part}: {names}; merge them into one")
        places = {part: paths[0] for part, paths in found.items()}
        if "train" not in places:
            raise ValueError(
                f"{self.folder} has a folder {next(iter(places.values())).name}, but no folder train: it needs "
                "train and test, or class folders only"
            )
        if places["train"] in hold_images:
            raise ValueError(
                f"{places['train']}: 0 class folders; it needs at least 2, or name a CSV file of file and label in "
                "data.labels_file"
            )
        return places


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name))
