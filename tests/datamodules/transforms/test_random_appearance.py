import numpy as np
import pytest
import torch

from litzoo.datamodules.transforms.policies import RandomErase, RandomTone

BOTH = pytest.mark.parametrize("augmentation", [RandomTone(0.2, 0.5), RandomErase(0.5)], ids=["tone", "erase"])
TYPES = pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])


def images(batch, channels=3, height=12, width=9, low=0, high=256):
    return torch.randint(low, high, (batch, channels, height, width), dtype=torch.uint8)


@BOTH
@TYPES
@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (5, 3, 12, 9), (0, 1, 8, 8)])
def test_shape_stays_and_the_originals_are_not_touched(augmentation, dtype, shape):
    before = torch.randint(0, 256, shape).to(dtype)
    original = before.clone()
    after = augmentation(before)
    assert after.shape == shape
    assert after.dtype == (torch.float32 if isinstance(augmentation, RandomTone) else dtype)
    assert torch.equal(before, original)


@TYPES
def test_tone_is_the_formula_on_every_image(dtype):
    before = images(8).to(dtype)
    torch.manual_seed(4)
    after = RandomTone(brightness=0.3, contrast=0.7)(before)
    torch.manual_seed(4)
    contrast, brightness = (torch.rand(2, 8).double() * 2 - 1).numpy()
    for number, image in enumerate(before.double().numpy()):
        expected = (1 + 0.7 * contrast[number]) * (image - image.mean()) + image.mean()
        expected = np.clip(expected + 0.3 * 255 * brightness[number], 0, 255)
        np.testing.assert_allclose(after[number].numpy(), expected, atol=1e-3)


def test_brightness_moves_all_pixels_of_an_image_alike_as_far_as_told_and_no_further():
    before = images(2000, low=110, high=140)
    moved = RandomTone(brightness=0.1, contrast=0)(before) - before
    by = moved.mean((1, 2, 3))
    torch.testing.assert_close(moved, by[:, None, None, None].expand_as(moved), atol=1e-3, rtol=0)
    assert len(by.unique()) > 1900
    assert -25.5 <= by.min() < -25
    assert 25 < by.max() <= 25.5


def test_contrast_scales_the_distance_to_each_images_own_mean():
    before = images(2000, low=90, high=160)
    after = RandomTone(brightness=0, contrast=0.4)(before)
    before = before.float()
    torch.testing.assert_close(after.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=1e-3, rtol=0)
    factor = after.std((1, 2, 3)) / before.std((1, 2, 3))
    assert len(factor.unique()) > 1900
    assert 0.6 - 1e-4 <= factor.min() < 0.61
    assert 1.39 < factor.max() <= 1.4 + 1e-4


def test_tones_stay_within_black_and_white():
    after = RandomTone(brightness=1, contrast=1)(images(200))
    assert (after.min(), after.max()) == (0, 255)


def test_without_ranges_nothing_changes():
    before = images(20)
    torch.testing.assert_close(RandomTone(0, 0)(before), before.float(), atol=1e-3, rtol=0)
    assert torch.equal(RandomErase(0)(before), before)


def erased(before, after):
    """Returns which pixels changed, bool `[B, H, W]`: the same ones in all channels, all of them grey now."""
    changed = before != after
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    assert set(after[changed].unique().tolist()) <= {127}
    return changed[:, 0].numpy()


@TYPES
@pytest.mark.parametrize(("height", "width"), [(28, 28), (20, 12), (12, 20)])
@pytest.mark.parametrize("largest", [0.25, 0.5, 1.0])
def test_one_square_of_each_image_is_grey_and_the_rest_is_left_alone(dtype, height, width, largest):
    before = images(400, 2, height, width, low=150).to(dtype)
    longest = []
    for covered in erased(before, RandomErase(largest)(before)):
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        assert covered.sum() == len(rows) * len(columns), "a rectangle without holes"
        longest.append(max(len(rows), len(columns), 0))
        if len(rows) and rows[0] > 0 and rows[-1] < height - 1 and columns[0] > 0 and columns[-1] < width - 1:
            assert abs(len(rows) - len(columns)) <= 1, "a square, where no border cuts it off"
    assert largest * min(height, width) - 2 <= max(longest) <= np.ceil(largest * min(height, width))


def test_places_and_sizes_differ_from_image_to_image():
    before = images(1, 1, 28, 28, low=150).repeat(200, 1, 1, 1)
    covered = erased(before, RandomErase(0.5)(before))
    assert len({tuple(np.flatnonzero(each.any(1))) for each in covered}) > 50
    assert len({tuple(np.flatnonzero(each.any(0))) for each in covered}) > 50


def test_opposite_borders_are_covered_equally_often():
    before = images(1, 1, 10, 10, low=150).expand(40000, -1, -1, -1)
    often = erased(before, RandomErase(0.5)(before)).mean(0)
    # Half a pixel off would be a difference of 0.02; that of luck has a standard deviation of 0.001.
    assert often[0].mean() == pytest.approx(often[-1].mean(), abs=0.006)
    assert often[:, 0].mean() == pytest.approx(often[:, -1].mean(), abs=0.006)
