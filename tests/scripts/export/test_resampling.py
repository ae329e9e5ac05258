import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from litzoo.lit_modules.networks.resampling import resize, resize_and_crop

SIZES = [((90, 60), (28, 28)), ((28, 28), (28, 28)), ((13, 17), (32, 32)), ((120, 200), (64, 48)), ((1, 5), (8, 8))]
SIZES += [((8, 8), (28, 28)), ((7, 11), (29, 31)), ((333, 217), (32, 32)), ((50, 50), (100, 100)), ((45, 61), (40, 56))]


@pytest.mark.parametrize(("own", "wanted"), SIZES)
def test_it_resizes_and_crops_like_pillow(own, wanted):
    image = np.random.default_rng(0).integers(0, 256, (*own, 3), dtype=np.uint8)
    height, width = wanted
    expected = np.array(ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.BILINEAR))
    found = resize_and_crop(torch.from_numpy(image).movedim(2, 0)[None], height, width)[0].movedim(0, 2).numpy()
    differences = np.abs(found - expected)
    assert differences.max() == 0


def test_a_tall_image_that_is_widened_differs_by_a_level_at_most():
    image = np.random.default_rng(0).integers(0, 256, (61, 45), dtype=np.uint8)
    expected = np.array(ImageOps.fit(Image.fromarray(image), (56, 40), Image.Resampling.BILINEAR))
    found = resize_and_crop(torch.from_numpy(image)[None, None], 40, 56)[0, 0].numpy()
    assert np.abs(found - expected).max() <= 1


def test_images_of_the_size_are_unchanged():
    images = torch.randint(256, (3, 1, 20, 30), dtype=torch.uint8)
    assert torch.equal(resize_and_crop(images, 20, 30), images.float())


@pytest.mark.parametrize(("own", "wanted"), SIZES)
def test_without_cropping_it_resizes_like_torch(own, wanted):
    images = torch.rand(2, 3, *own)
    expected = F.interpolate(images, wanted, mode="bilinear", antialias=True)
    torch.testing.assert_close(resize(images, *wanted), expected, atol=1e-5, rtol=0)
