import torch
import torchvision
from torch import Tensor

from datamodules.downloads import download_once
from datamodules.image import ImageDataModule


class CIFAR10DataModule(ImageDataModule):
    """50,000 + 10,000 colour pictures of animals and vehicles, 3×32×32 (Krizhevsky 2009), downloaded when absent.

    Args:
        **options: See `ImageDataModule` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.CIFAR10
    input_shape = (3, 32, 32)
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)

    def prepare_data(self) -> None:
        """Downloads the files unless they are there."""
        download_once(self.root / self.dataset.base_folder, lambda root: self.dataset(root, download=True))

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns all pictures of a part and their classes.

        Raises:
            ValueError: If torchvision finds a file missing, truncated or foreign.
        """
        try:
            data = self.dataset(self.root, train=train)
        except Exception as error:
            raise ValueError(
                f"{self.root / self.dataset.base_folder} does not hold the files of CIFAR-10 (Python version), or one "
                f"is truncated ({error}); remove the folder to download it anew"
            ) from error
        return torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(data.targets)
