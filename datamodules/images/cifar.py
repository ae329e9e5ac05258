import pickle
from pathlib import Path
from typing import ClassVar

import torch
import torchvision
from torch import Tensor
from torchvision.datasets.utils import check_integrity

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.io.downloads import download_once


class CIFAR10DataModule(ImageDataModule):
    """CIFAR-10: 50,000 + 10,000 images of animals and vehicles, 3×32×32 (Krizhevsky 2009), downloaded if absent.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.CIFAR10
    input_shape = (3, 32, 32)
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    lookalikes: ClassVar = {
        "truck": "automobile",
        "bird": "airplane",
        "deer": "horse",
        "cat": "dog",
        "dog": "cat",
    }  # Patrini et al. 2017
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)

    def prepare_data(self) -> None:
        """Downloads the files if they are absent."""
        super().prepare_data()
        download_once(self.root / self.dataset.base_folder, lambda root: self.dataset(root, download=True))

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of the training or test set and their classes.

        Raises:
            FileNotFoundError: If their folder is absent.
            ValueError: If a file is missing or not the official one.
        """
        folder = self.root / self.dataset.base_folder
        files = self.dataset.train_list if train else self.dataset.test_list
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is absent")
        try:
            return self._read_files([folder / name for name, _ in files])
        except Exception as error:
            raise ValueError(
                f"{folder} does not hold the files of CIFAR-10 (Python version), or one is truncated "
                f"({str(error) or type(error).__name__}); remove the folder to download it again"
            ) from error

    def _read_files(self, paths: list[Path]) -> tuple[Tensor, Tensor]:
        """Copies the files one by one into one tensor; torchvision's own reader needs three times the memory."""
        meta = (self.dataset.meta["filename"], self.dataset.meta["md5"])
        for name, checksum in [*self.dataset.train_list, *self.dataset.test_list, meta]:
            if not check_integrity(paths[0].with_name(name), checksum):
                raise ValueError(f"{name} is absent or has another checksum")
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
        labels += content["labels"]
        return torch.from_numpy(content["data"]).view(-1, *self.input_shape)
