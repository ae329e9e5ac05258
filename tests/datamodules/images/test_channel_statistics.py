import numpy as np
import pytest
import torch

from litzoo.datamodules.images.image_folder import channel_statistics
from litzoo.datamodules.io.images import ImageReader, ImagesOnDisk
from tests.datamodules.image_folder import noise, save


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("chosen", [[0], [4, 2], range(2500)], ids=["one", "two", "more than are read at once"])
def test_they_are_those_of_numpy(channels, chosen):
    images = np.random.RandomState(0).randint(0, 200, (2500, channels, 3, 2), dtype=np.uint8)
    images[:, 0] //= 3
    mean, std = channel_statistics(torch.from_numpy(images), torch.tensor(chosen))
    pixels = images[list(chosen)].astype(np.float64) / 255
    assert mean == pytest.approx(pixels.mean(axis=(0, 2, 3)))
    assert std == pytest.approx(pixels.std(axis=(0, 2, 3)))


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_a_channel_that_is_the_same_everywhere_has_the_deviation_1(level):
    images = torch.full((3, 2, 4, 4), level, dtype=torch.uint8)
    images[0, 0, 0, 0] = 128
    mean, std = channel_statistics(images, torch.arange(3))
    assert mean[1] == pytest.approx(level / 255)
    assert std[1] == 1.0
    assert 0 < std[0] < 0.2


def test_files_give_what_memory_gives():
    paths = [save(f"{i}.png", noise(5, 4, seed=i)) for i in range(5)]
    files = ImagesOnDisk(paths, ImageReader((3, 5, 4), resize=False))
    memory = torch.stack([torch.from_numpy(noise(5, 4, seed=i)).permute(2, 0, 1) for i in range(5)])
    index = torch.tensor([4, 1, 0])
    assert channel_statistics(files, index) == channel_statistics(memory, index)
