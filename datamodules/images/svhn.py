from pathlib import Path
from typing import ClassVar

import torch
import torchvision
from scipy.io import loadmat
from torch import Tensor

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.io.downloads import download_once
from litzoo.datamodules.io.paths import require_file

FOLDER = "SVHN"


class SVHNDataModule(ImageDataModule):
    """SVHN: 73,257 + 26,032 digits of house numbers, 3×32×32 (Netzer et al. 2011), downloaded if absent.

    Read from `SVHN/{train,test}_32x32.mat` in `root`, or without that folder from `root` itself, where torchvision puts
    the files. Digit 0, which the files number 10, is class 0. The set of extra training images is not used.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.SVHN
    input_shape = (3, 32, 32)
    class_names = tuple("0123456789")
    lookalikes: ClassVar = {"2": "7", "3": "8", "5": "6", "6": "5", "7": "1"}  # those of MNIST
    # As quoted for the training set; tests compare them with the files where these are at hand.
    mean = (0.4377, 0.4438, 0.4728)
    std = (0.1980, 0.2010, 0.1970)

    def prepare_data(self) -> None:
        """Downloads the files if they are absent."""
        super().prepare_data()
        if self._folder() != self.root:
            download_once(self.root / FOLDER, self._download)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all images of the training or test set and their classes.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is truncated, or not a file of SVHN.
        """
        path = self._folder() / self.dataset.split_list["train" if train else "test"][1]
        try:
            require_file(path)
            content = loadmat(path, variable_names=["X", "y"])
            images, labels = torch.from_numpy(content["X"]), torch.from_numpy(content["y"]).long().view(-1)
            if images.dtype != torch.uint8 or images.shape != (32, 32, 3, len(labels)):
                raise ValueError(f"{images.dtype} {list(images.shape)} with {len(labels)} labels")
            if int(labels.min()) < 1 or int(labels.max()) > 10:
                raise ValueError(f"labels from {int(labels.min())} to {int(labels.max())}, not 1 to 10")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path} is absent; remove its folder to download it again") from error
        except Exception as error:
            reason = f"{str(error) or type(error).__name__}"
            raise ValueError(
                f"{path} is not a file of SVHN (format 2, cropped digits), or truncated ({reason}); remove its folder "
                "to download it again"
            ) from error
        return images.permute(3, 2, 0, 1).contiguous(), labels % 10

    def _folder(self) -> Path:
        """Returns the folder of the files."""
        at_root = not (self.root / FOLDER).exists() and (self.root / self.dataset.split_list["train"][1]).exists()
        return self.root if at_root else self.root / FOLDER

    def _download(self, root: str) -> None:
        for part in ("train", "test"):
            self.dataset(f"{root}/{FOLDER}", split=part, download=True)
