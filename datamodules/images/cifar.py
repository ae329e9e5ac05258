"""What CIFAR-10 and CIFAR-100 share."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torchvision.datasets.utils import check_integrity

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.io.class_folders import images_in
from litzoo.datamodules.io.downloads import download_once
from litzoo.datamodules.io.images import ImageReader, read_all

if TYPE_CHECKING:
    _Base = ImageDataModule
else:
    _Base = object  # a mixin: the classes that use it derive from `ImageDataModule` themselves


class CIFARFiles(_Base):
    """Mixin for CIFAR-10 and CIFAR-100: torchvision's files, downloaded if absent, or class folders.

    Put it before `ImageDataModule`: `class CIFAR10DataModule(CIFARFiles, ImageDataModule)`.

    Attributes:
        dataset: torchvision's class.
        title: Name of the data set, for messages.
        class_folders: Name of the folder of class folders in `root`.
        label_key: Name of the labels in the files.
        source: Name of the folder that was read.
    """

    dataset: Any
    title: str
    class_folders: str
    label_key: str = "labels"
    input_shape = (3, 32, 32)
    source: str | None = None

    def prepare_data(self) -> None:
        """Downloads the files if they are absent."""
        super().prepare_data()
        if not self._has_class_folders:
            download_once(self.root / self.dataset.base_folder, lambda root: self.dataset(root, download=True))

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of the training or test set and their classes.

        Raises:
            FileNotFoundError: If neither the official files nor class folders are there.
            ValueError: If a file is missing or not the official one, and there are no class folders.
        """
        folder = self.root / self.dataset.base_folder
        files = self.dataset.train_list if train else self.dataset.test_list
        altered = self._altered_file(folder)
        if altered is not None and self._has_class_folders:
            return self._read_class_folders(train)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is absent")
        try:
            if altered is not None:
                raise ValueError(f"{altered} is absent or has another checksum")
            self._log_source(folder)
            return self._read_files([folder / name for name, _ in files])
        except Exception as error:
            raise ValueError(
                f"{folder} does not hold the files of {self.title} (Python version), or one is truncated "
                f"({str(error) or type(error).__name__}); remove the folder to download it again"
            ) from error

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set; of class folders without opening the images."""
        if self._has_class_folders and self._altered_file(self.root / self.dataset.base_folder) is not None:
            return self._list_class_folders(train=True)[1]
        return super().read_labels()

    def split_report(self) -> dict[str, Any]:
        """Adds what the images were read from."""
        return super().split_report() | ({"source": self.source} if self.source else {})

    @property
    def _has_class_folders(self) -> bool:
        return (self.root / self.class_folders / "train").is_dir()

    def _altered_file(self, folder: Path) -> str | None:
        """Returns the name of the first file that is absent or not the original one."""
        meta = (self.dataset.meta["filename"], self.dataset.meta["md5"])
        files = [*self.dataset.train_list, *self.dataset.test_list, meta]
        return next((name for name, checksum in files if not check_integrity(folder / name, checksum)), None)

    def _log_source(self, folder: Path) -> None:
        if self.source != folder.name:
            self.source = folder.name
            rank_zero_info(f"{self.title} is read from {folder}")

    def _read_class_folders(self, train: bool) -> tuple[Tensor, Tensor]:
        folder = self.root / self.class_folders
        self._log_source(folder)
        paths, labels = self._list_class_folders(train)
        try:
            images, _, _ = read_all(paths, ImageReader(self.input_shape, resize=False), keep=True, skip=False)
        except ValueError as error:
            problem = str(error).split(": set data.size")[0]  # there is no such option here
            raise ValueError(f"{problem}; unpack {self.title}'s class folders into {folder} again") from error
        assert images is not None
        return images, labels

    def _list_class_folders(self, train: bool) -> tuple[list[Path], Tensor]:
        folder = self.root / self.class_folders / ("train" if train else "test")
        of_class = [images_in(folder / name) for name in self.file_class_names]
        if empty := [name for name, paths in zip(self.file_class_names, of_class, strict=True) if not paths]:
            raise ValueError(
                f"{folder}: no image in the class folder {', '.join(empty)}; unpack {self.title}'s class folders into "
                f"{folder.parent} again"
            )
        counts = torch.tensor([len(paths) for paths in of_class])
        labels = torch.arange(len(of_class)).repeat_interleave(counts)
        found = [path for paths in of_class for path in paths]
        names = [path.relative_to(folder.parent).as_posix() for path in found]
        self.files["train" if train else "test"] = names
        return found, labels

    def _read_files(self, paths: list[Path]) -> tuple[Tensor, Tensor]:
        """Copies the files one by one into one tensor; torchvision's own reader needs three times the memory."""
        images: Tensor | None = None
        labels: list[int] = []
        for number, path in enumerate(paths):
            rows = self._append(path, labels)
            if images is None:
                images = rows.new_empty(len(paths) * len(rows), *self.input_shape)
            images[number * len(rows) : (number + 1) * len(rows)] = rows
            del rows  # frees it before the next file is read
        assert images is not None
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images and {len(labels)} labels")
        return images, torch.tensor(labels)

    def _append(self, path: Path, labels: list[int]) -> Tensor:
        """Appends the labels of a file, whose checksum is known to be right, and returns its images."""
        with path.open("rb") as stream:
            # Python 2 wrote the files; decoding its strings as text would copy the pixels twice.
            content = pickle.load(stream, encoding="bytes")
        content = {name.decode() if isinstance(name, bytes) else name: value for name, value in content.items()}
        labels += content[self.label_key]
        return torch.from_numpy(content["data"]).view(-1, *self.input_shape)
