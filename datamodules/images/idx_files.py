"""What data sets in MNIST's file format share."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.io.downloads import download_once
from litzoo.datamodules.io.idx import IDXFiles

if TYPE_CHECKING:
    _Base = ImageDataModule
else:
    _Base = object  # a mixin: the classes that use it derive from `ImageDataModule` themselves


class IDXImages(_Base):
    """Mixin for data sets in MNIST's file format IDX, which torchvision downloads if they are absent.

    Put it before `ImageDataModule`: `class MNISTDataModule(IDXImages, ImageDataModule)`.

    Attributes:
        dataset: torchvision's class. Its name is that of the folder in `root`.
        file_parts: Names of the training and the test part in the names of the files.
    """

    dataset: Any
    input_shape = (1, 28, 28)
    file_parts: tuple[str, str] = ("train", "t10k")

    def prepare_data(self) -> None:
        """Downloads the files if they are absent."""
        super().prepare_data()
        download_once(self.root / self.dataset.__name__, self.download)

    def download(self, root: str) -> None:
        """Downloads the data set into a subfolder of `root`."""
        self.dataset(root, download=True)

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; fitting also checks the test files, if they are there."""
        if stage == "fit":
            self.idx_files().check(self.file_parts[1])
        super().setup(stage)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of the training or test set and their classes; raises as `IDXFiles.read`."""
        return self.idx_files().read(self.file_parts[0 if train else 1])

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set without opening the images; raises as `IDXFiles.read`."""
        return self.idx_files().labels(self.file_parts[0])

    def idx_files(self) -> IDXFiles:
        """Returns the reader of the files."""
        return IDXFiles(self.root / self.dataset.__name__ / "raw", self.input_shape[1:], len(self.file_class_names))
