from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torchvision
from torch import Tensor
from torchvision.datasets.mnist import read_image_file, read_label_file

from datamodules.downloads import download_once
from datamodules.image import ImageDataModule


class MNISTDataModule(ImageDataModule):
    """60,000 + 10,000 handwritten digits, 1×28×28 (LeCun et al. 1998), downloaded when absent.

    Args:
        **options: See `ImageDataModule` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.MNIST
    input_shape = (1, 28, 28)
    class_names = tuple("0123456789")
    lookalikes: ClassVar = {"2": "7", "3": "8", "5": "6", "6": "5", "7": "1"}  # Patrini et al. 2017
    mean = (0.1307,)
    std = (0.3081,)

    def prepare_data(self) -> None:
        """Downloads the files unless they are there."""
        super().prepare_data()
        download_once(self.root / self.dataset.__name__, lambda root: self.dataset(root, download=True))

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all pictures of a part and their classes.

        Raises:
            ValueError: If a file is truncated, foreign, or does not fit the others; the message names it.
        """
        raw = self.root / self.dataset.__name__ / "raw"
        part = "train" if train else "t10k"
        pictures = self._read_file(read_image_file, raw / f"{part}-images-idx3-ubyte")
        labels = self._labels(raw, part)
        if len(pictures) != len(labels) or pictures.shape[1:] != self.input_shape[1:]:
            raise ValueError(
                f"{raw}: {part} has {len(pictures)} pictures of {tuple(pictures.shape[1:])} and {len(labels)} labels; "
                f"expected as many of each, at {self.input_shape[1:]}"
            )
        return pictures[:, None], labels

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set alone, without opening the pictures.

        Raises:
            ValueError: As `read`.
        """
        return self._labels(self.root / self.dataset.__name__ / "raw", "train")

    def _labels(self, raw: Path, part: str) -> Tensor:
        path = raw / f"{part}-labels-idx1-ubyte"
        labels, classes = self._read_file(read_label_file, path), len(self.file_class_names)
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{path}: labels outside 0 to {classes - 1}")
        return labels

    @staticmethod
    def _read_file(reader: Callable[[str], Tensor], path: Path) -> Tensor:
        try:
            return reader(str(path))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path} is absent; remove its folder to download it anew") from error
        except Exception as error:
            raise ValueError(
                f"{path} is not a file of this data set, or truncated ({str(error) or type(error).__name__}); "
                "remove its folder to download it anew"
            ) from error
