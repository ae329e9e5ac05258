import torch
from torch.utils.data import Subset

from litzoo.datamodules import CIFAR10DataModule
from litzoo.lit_modules.networks import WhitenedCNN
from litzoo.scripts.benchmarks.source_recipes import SingleImages, seconds_of_epochs


def test_images_are_normalised_one_by_one_as_the_datamodule_does_and_epochs_are_timed():
    images, labels = torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8), torch.arange(6)
    datamodule = CIFAR10DataModule()
    dataset = SingleImages(images, labels, datamodule)
    assert len(dataset) == 6
    assert dataset[4][1] == 4
    torch.testing.assert_close(dataset[4][0], datamodule.normalise(images)[4])
    seconds = seconds_of_epochs(Subset(dataset, [0, 1, 2]), WhitenedCNN((3, 32, 32), 10, (4, 4)), 2)
    assert len(seconds) == 2
    assert min(seconds) > 0
