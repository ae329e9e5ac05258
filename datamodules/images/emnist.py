from string import ascii_lowercase, digits
from typing import Any, Literal

import torchvision
from torch import Tensor

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.idx_files import IDXImages
from litzoo.datamodules.io.idx import IDXFiles

MERGED = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
"""Classes of `balanced`, in the order of the files: letters whose two cases look alike are one class, as capital."""
CLASSES = {"balanced": MERGED, "letters": ascii_lowercase, "digits": digits}
"""Subset -> one character per class. In `letters` both cases are one class, and the labels in the files begin at 1."""


class EMNISTDataModule(IDXImages, ImageDataModule):
    """EMNIST: handwritten letters and digits, 1×28×28, upright (Cohen et al. 2017), downloaded if absent.

    Args:
        subset: `balanced` (47 classes, 112,800 + 18,800 images), `letters` (26 classes, 124,800 + 20,800) or `digits`
            (10 classes, 240,000 + 40,000).
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.

    Raises:
        ValueError: If `subset` is not one of its choices.
    """

    dataset = torchvision.datasets.EMNIST
    # As quoted for `balanced`, used for all subsets; tests compare them with the files where these are at hand.
    mean = (0.1751,)
    std = (0.3332,)
    split_by = (*ImageDataModule.split_by, "subset")

    def __init__(self, subset: Literal["balanced", "letters", "digits"] = "balanced", **options: Any) -> None:
        if subset not in CLASSES:
            raise ValueError(f"data.subset: {subset!r} is not one of {', '.join(CLASSES)}")
        self.subset = subset
        self.file_parts = (f"emnist-{subset}-train", f"emnist-{subset}-test")
        self.class_names = tuple(CLASSES[subset])
        super().__init__(**options)

    def download(self, root: str) -> None:
        """Downloads all subsets into a subfolder of `root`."""
        self.dataset(root, split=self.subset, download=True)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of the training or test set, turned upright, and their classes."""
        images, labels = super().read(train)
        return images.mT.contiguous(), self._from_zero(labels)

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set without opening the images; raises as `IDXFiles.read`."""
        return self._from_zero(super().read_labels())

    def idx_files(self) -> IDXFiles:
        """Returns the reader of the subset's files."""
        files = super().idx_files()
        files.classes += self._first
        return files

    @property
    def _first(self) -> int:
        """Smallest label in the files."""
        return 1 if self.subset == "letters" else 0

    def _from_zero(self, labels: Tensor) -> Tensor:
        if (smallest := int(labels.min())) < self._first:
            folder = self.idx_files().folder
            raise ValueError(
                f"{folder}: the files of {self.subset} have the label {smallest}, but labels begin at {self._first}; "
                "remove the folder to download it again"
            )
        return labels - self._first
