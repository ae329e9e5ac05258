import torchvision

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.idx_files import IDXImages


class KMNISTDataModule(IDXImages, ImageDataModule):
    """Kuzushiji-MNIST: 60,000 + 10,000 cursive Japanese characters, 1×28×28 (Clanuwat et al. 2018).

    Ten classes, each a hiragana character. Downloaded if absent.

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.KMNIST
    class_names = tuple(torchvision.datasets.KMNIST.classes)
    # As quoted for the training set; tests compare them with the files where these are at hand.
    mean = (0.1918,)
    std = (0.3483,)
