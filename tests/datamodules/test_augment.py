import numpy as np
import pytest
import torch

from datamodules.augment import AUGMENTATIONS, RandomFlip, RandomShift


def pictures(batch, channels=2, height=6, width=5, dtype=torch.uint8):
    """Pictures without a black pixel, so that fill is told from content."""
    return torch.randint(1, 256, (batch, channels, height, width)).to(dtype)


def shifted(picture, down, right):
    """Moves one picture pixel by pixel, black where nothing moves in."""
    _, height, width = picture.shape
    result = torch.zeros_like(picture)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[:, y, x] = picture[:, y - down, x - right]
    return result


def found_shift(before, after, reach):
    """Returns `(down, right)` that turn one picture into the other, `None` if no shift does."""
    reachable = range(-reach, reach + 1)
    for down, right in ((down, right) for down in reachable for right in reachable):
        if torch.equal(shifted(before, down, right), after):
            return down, right
    return None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_every_picture_is_shifted_by_an_offset_within_reach(reach, dtype):
    before = pictures(20, dtype=dtype)
    after = RandomShift(reach)(before)
    assert after.dtype == dtype
    assert after.shape == before.shape
    assert None not in [found_shift(*pair, reach) for pair in zip(before, after, strict=True)]


def test_all_shifts_within_reach_occur_in_one_batch():
    before = pictures(1).expand(300, -1, -1, -1)
    found = {found_shift(*pair, reach=1) for pair in zip(before, RandomShift(1)(before), strict=True)}
    assert found == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_about_half_the_pictures_are_mirrored_and_the_rest_left_alone(dtype):
    before = pictures(1000, dtype=dtype)
    after = RandomFlip()(before)
    mirror = torch.from_numpy(np.ascontiguousarray(before.numpy()[..., ::-1]))
    was_mirrored = [torch.equal(new, other) for new, other in zip(after, mirror, strict=True)]
    was_kept = [torch.equal(new, old) for new, old in zip(after, before, strict=True)]
    assert after.dtype == dtype
    assert all(one != other for one, other in zip(was_mirrored, was_kept, strict=True))
    assert 440 < sum(was_mirrored) < 560  # four standard deviations of 1000 fair coins


@pytest.mark.parametrize(("name", "side", "reach"), [("shift", 28, 2), ("shift", 8, 1), ("crop_flip", 32, 4)])
def test_named_augmentations_reach_as_far_as_promised(name, side, reach):
    before = torch.zeros(2000, 1, side, side, dtype=torch.uint8)
    middle = side // 2
    before[:, :, middle, middle] = 200
    after = AUGMENTATIONS[name](side)(before)
    assert after.dtype == torch.uint8
    assert torch.equal(after.sum((1, 2, 3)), before.sum((1, 2, 3)))
    rows, columns = after[:, 0].nonzero()[:, 1:].T
    mirrored = side - 1 - middle
    assert set(rows.tolist()) == set(range(middle - reach, middle + reach + 1))
    reached = {middle, mirrored} if name == "crop_flip" else {middle}
    assert set(columns.tolist()) == {at + move for at in reached for move in range(-reach, reach + 1)}


def test_crop_flip_is_a_shifted_picture_or_its_mirror():
    before = pictures(40, height=8, width=8)
    for old, new in zip(before, AUGMENTATIONS["crop_flip"](8)(before), strict=True):
        assert (found_shift(old, new, reach=1) is None) != (found_shift(old, new.flip(2), reach=1) is None)


def test_none_changes_nothing():
    before = pictures(5)
    assert torch.equal(AUGMENTATIONS["none"](28)(before.clone()), before)


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - {"none"}))
def test_each_picture_gets_a_draw_of_its_own_and_the_originals_stay(name):
    before = pictures(1, 3, 28, 28).repeat(64, 1, 1, 1)
    original = before.clone()
    after = AUGMENTATIONS[name](28)(before)
    assert torch.equal(before, original)
    assert len({picture.numpy().tobytes() for picture in after}) > 10
    torch.manual_seed(0)
    again = [AUGMENTATIONS[name](28)(before) for _ in range(2)]
    assert not torch.equal(*again)
