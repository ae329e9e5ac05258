from typing import ClassVar

import torchvision
from torch import Tensor

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.io.downloads import download_once
from litzoo.datamodules.io.idx import IDXFiles


class FashionMNISTDataModule(ImageDataModule):
    """Fashion-MNIST: 60,000 + 10,000 pieces of clothing, 1×28×28 (Xiao et al. 2017), downloaded if absent.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.FashionMNIST
    input_shape = (1, 28, 28)
    class_names = tuple(torchvision.datasets.FashionMNIST.classes)
    lookalikes: ClassVar = {
        "T-shirt/top": "Shirt",
        "Shirt": "T-shirt/top",
        "Pullover": "Coat",
        "Coat": "Pullover",
        "Sandal": "Sneaker",
        "Ankle boot": "Sneaker",
    }  # our choice: the pairs that classifiers confuse most
    mean = (0.2860,)
    std = (0.3530,)

    def prepare_data(self) -> None:
        """Downloads the files if they are absent."""
        super().prepare_data()
        download_once(self.root / "FashionMNIST", lambda root: self.dataset(root, download=True))

    def setup(self, stage: str) -> None:
        """Reads and splits what `stage` needs; fitting also checks the test files, if they are there."""
        if stage == "fit":
            self._idx_files().check("t10k")
        super().setup(stage)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of the training or test set and their classes; raises as `IDXFiles.read`."""
        return self._idx_files().read("train" if train else "t10k")

    def read_labels(self) -> Tensor:
        """Returns the labels of the training set without opening the images; raises as `IDXFiles.read`."""
        return self._idx_files().labels("train")

    def _idx_files(self) -> IDXFiles:
        return IDXFiles(self.root / "FashionMNIST" / "raw", self.input_shape[1:], len(self.file_class_names))
