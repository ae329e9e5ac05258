from typing import ClassVar

import torchvision

from litzoo.datamodules.images.base import ImageDataModule
from litzoo.datamodules.images.cifar import CIFARFiles

SUPERCLASSES = (
    ("beaver", "dolphin", "otter", "seal", "whale"),
    ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    ("orchid", "poppy", "rose", "sunflower", "tulip"),
    ("bottle", "bowl", "can", "cup", "plate"),
    ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    ("clock", "keyboard", "lamp", "telephone", "television"),
    ("bed", "chair", "couch", "table", "wardrobe"),
    ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    ("bear", "leopard", "lion", "tiger", "wolf"),
    ("bridge", "castle", "house", "road", "skyscraper"),
    ("cloud", "forest", "mountain", "plain", "sea"),
    ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    ("fox", "porcupine", "possum", "raccoon", "skunk"),
    ("crab", "lobster", "snail", "spider", "worm"),
    ("baby", "boy", "girl", "man", "woman"),
    ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
)
"""CIFAR-100's classes, five in each of the twenty superclasses."""


class CIFAR100DataModule(CIFARFiles, ImageDataModule):
    """CIFAR-100: 50,000 + 10,000 images of 100 classes, 3×32×32 (Krizhevsky 2009), downloaded if absent.

    Read from torchvision's files, `cifar-100-python`, if their checksums are those of the original; else from class
    folders `cifar100/{train,test}/<class>/`, as `CIFAR10DataModule` does. The human labels of CIFAR-100N are
    `HumanNoise("noisy_label", "cifar10n/CIFAR-100_human.pt")`.

    `AsymmetricNoise` turns each class into the next one of its superclass (Patrini et al. 2017).

    Args:
        **options: See `ImageDataModule`, `ClassLabels` and `BaseDataModule`.
    """

    dataset = torchvision.datasets.CIFAR100
    title, class_folders, label_key = "CIFAR-100", "cifar100", "fine_labels"
    class_names = tuple(sorted(name for group in SUPERCLASSES for name in group))
    lookalikes: ClassVar = {
        name: group[(place + 1) % len(group)] for group in SUPERCLASSES for place, name in enumerate(group)
    }
    # As quoted for the training set; tests compare them with the files where these are at hand.
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
