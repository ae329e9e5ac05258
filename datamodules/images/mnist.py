from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import torchvision
from torch import Tensor

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.io.downloads import download_once
from litzoo.datamodules.io.idx import idx_sizes, read_idx

T = TypeVar("T")
FILES = {"images": ("{}-images-idx3-ubyte", 3), "labels": ("{}-labels-idx1-ubyte", 1)}
"""Kind -> its file's name, of which the part comes first, and how many dimensions it has."""


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

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; a fit can do without test files, but finds damage in them at once."""
        if stage == "fit":
            files = [self._raw / name.format("t10k") for name, _ in FILES.values()]
            if any(file.exists() for file in files):
                self._labels("t10k")
                self._read_file(idx_sizes, "t10k", "images")
        super().setup(stage)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of a part and their classes.

        Raises:
            ValueError: If a file is truncated, foreign, or does not fit the others; the message names it.
        """
        part = "train" if train else "t10k"
        images = self._read_file(read_idx, part, "images")
        labels = self._labels(part)
        if len(images) != len(labels) or images.shape[1:] != self.input_shape[1:]:
            raise ValueError(
                f"{self._raw}: {part} has {len(images)} images of {tuple(images.shape[1:])} and {len(labels)} "
                f"labels; expected as many of each, at {self.input_shape[1:]}; remove it to download it anew"
            )
        return images[:, None], labels

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set alone, without opening the images.

        Raises:
            ValueError: As `read`.
        """
        return self._labels("train")

    @property
    def _raw(self) -> Path:
        return self.root / self.dataset.__name__ / "raw"

    def _labels(self, part: str) -> Tensor:
        labels, classes = self._read_file(read_idx, part, "labels").long(), len(self.file_class_names)
        if (largest := int(labels.max())) >= classes:
            raise ValueError(
                f"{self._raw / FILES['labels'][0].format(part)}: has the label {largest}, outside 0 to {classes - 1}; "
                "remove its folder to download it anew"
            )
        return labels

    def _read_file(self, reader: Callable[[Path, int], T], part: str, kind: str) -> T:
        name, dimensions = FILES[kind]
        path = self._raw / name.format(part)
        anew = "remove its folder to download it anew"
        try:
            return reader(path, dimensions)
        except FileNotFoundError as error:
            if path.with_name(f"{path.name}.gz").exists():
                raise FileNotFoundError(f"{path} is absent; unpack {path.name}.gz with gunzip") from error
            raise FileNotFoundError(f"{path} is absent; {anew}") from error
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror or error}); {anew}") from error
        except ValueError as error:
            raise ValueError(f"{path} is not a file of this data set, or truncated ({error}); {anew}") from error
