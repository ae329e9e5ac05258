import pickle
import random

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from litzoo.datamodules import DigitsDataModule, PerSample
from litzoo.datamodules.transforms.policies import AUGMENTATIONS, RandomFlip, RandomShift, augmentation_of


def images(batch, channels=2, height=6, width=5, dtype=torch.uint8):
    """Images without a black pixel, so that fill is told from content."""
    return torch.randint(1, 256, (batch, channels, height, width)).to(dtype)


def shifted(image, down, right):
    """Moves one image pixel by pixel, black where nothing moves in."""
    _, height, width = image.shape
    result = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[:, y, x] = image[:, y - down, x - right]
    return result


def found_shift(before, after, reach):
    """Returns `(down, right)` that turn one image into the other, `None` if no shift does."""
    reachable = range(-reach, reach + 1)
    for down, right in ((down, right) for down in reachable for right in reachable):
        if torch.equal(shifted(before, down, right), after):
            return down, right
    return None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_every_image_is_shifted_by_an_offset_within_reach(reach, dtype):
    before = images(20, dtype=dtype)
    after = RandomShift(reach)(before)
    assert after.dtype == dtype
    assert after.shape == before.shape
    assert None not in [found_shift(*pair, reach) for pair in zip(before, after, strict=True)]


def test_all_shifts_within_reach_occur_in_one_batch():
    before = images(1).expand(300, -1, -1, -1)
    found = {found_shift(*pair, reach=1) for pair in zip(before, RandomShift(1)(before), strict=True)}
    assert found == {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_about_half_the_images_are_mirrored_and_the_rest_left_alone(dtype):
    before = images(1000, dtype=dtype)
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


def test_crop_flip_is_a_shifted_image_or_its_mirror():
    before = images(40, height=8, width=8)
    for old, new in zip(before, AUGMENTATIONS["crop_flip"](8)(before), strict=True):
        assert (found_shift(old, new, reach=1) is None) != (found_shift(old, new.flip(2), reach=1) is None)


def test_none_changes_nothing():
    before = images(5)
    assert torch.equal(AUGMENTATIONS["none"](28)(before.clone()), before)


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - {"none"}))
def test_each_image_gets_a_draw_of_its_own_and_the_originals_stay(name):
    before = images(1, 3, 28, 28).repeat(64, 1, 1, 1)
    original = before.clone()
    after = AUGMENTATIONS[name](28)(before)
    assert torch.equal(before, original)
    assert len({image.numpy().tobytes() for image in after}) > 10
    torch.manual_seed(0)
    again = [AUGMENTATIONS[name](28)(before) for _ in range(2)]
    assert not torch.equal(*again)


POLICIES = {
    "autoaugment_imagenet": v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET),
    "autoaugment_cifar10": v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
    "autoaugment_svhn": v2.AutoAugment(v2.AutoAugmentPolicy.SVHN),
    "randaugment": v2.RandAugment(),
    "trivialaugment": v2.TrivialAugmentWide(),
    "augmix": v2.AugMix(),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_changes_images_as_often_as_torchvision_does(name, channels):
    policy = POLICIES[name]
    before = torch.randint(256, (1, channels, 8, 8), dtype=torch.uint8).repeat(1200, 1, 1, 1)
    others = random.getstate(), np.random.get_state()[1].copy()
    after = AUGMENTATIONS[name](8)(before)
    alone = torch.stack([policy(image) for image in before])
    assert after.dtype == torch.uint8
    assert after.shape == before.shape
    # Fraction of unchanged images, and mean and spread of each image's mean, within four standard errors.
    for of in (
        lambda images: (images == before).all(dim=(1, 2, 3)).double(),
        lambda images: images.double().mean(dim=(1, 2, 3)),
        lambda images: images.double().std(dim=(1, 2, 3)),
        lambda images: images.double()[..., 0].mean(dim=(1, 2)),  # black after a shift to the right only
    ):
        ours, theirs = of(after), of(alone)
        error = (ours.var() / 1200 + theirs.var() / 1200).sqrt() + 1e-9
        assert abs(ours.mean() - theirs.mean()) < 4 * error
    # A resumed training restores torch's generator: no other may be used.
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (others[0], others[1].tolist())


def test_options_of_a_policy_are_those_of_torchvision():
    before = torch.randint(256, (400, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(PerSample(v2.RandAugment(num_ops=0))(before), before)
    brightest = PerSample(v2.AugMix(severity=1, chain_depth=1, all_ops=False))(before)
    assert not torch.equal(brightest, before)
    filled = PerSample(v2.RandAugment(fill=[255.0, 255, 255], magnitude=30))(torch.zeros_like(before))
    assert (filled == 255).any()  # not vectorised, but as asked for


def test_any_other_transform_gets_the_images_one_by_one():
    before = images(20, 3, 8, 8)
    transform = v2.RandomRotation(40)
    torch.manual_seed(3)
    one_by_one = torch.stack([transform(image) for image in before])
    torch.manual_seed(3)
    assert torch.equal(PerSample(transform)(before), one_by_one)


def test_a_policy_rounds_what_another_augmentation_has_left_between_two_levels():
    before = torch.tensor([-3.0, 0.4, 0.6, 254.7, 300.0]).view(1, 1, 1, 5).repeat(40, 1, 1, 1)
    torch.manual_seed(3)
    after = AUGMENTATIONS["randaugment"](5)(before)
    torch.manual_seed(3)
    levels = torch.tensor([0, 0, 1, 255, 255], dtype=torch.uint8).view(1, 1, 1, 5).repeat(40, 1, 1, 1)
    assert torch.equal(after, AUGMENTATIONS["randaugment"](5)(levels))


def test_a_list_is_done_in_its_order():
    before = images(20, 3, 32, 32)
    torch.manual_seed(3)
    after = augmentation_of("augment", ["crop_flip", "autoaugment_cifar10"], 32)(before)
    torch.manual_seed(3)
    assert torch.equal(after, AUGMENTATIONS["autoaugment_cifar10"](32)(AUGMENTATIONS["crop_flip"](32)(before)))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("autoaugment", "augment: 'autoaugment' is not one of none, shift, .*, autoaugment_cifar10"),
        (["crop_flip", "rotate"], "augment: 'rotate' is not one of"),
        ([], "augment: the list is empty; name at least one of none, shift"),
    ],
)
def test_names_that_are_not_there_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        augmentation_of("augment", asked, 32)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_datamodule_can_be_sent_to_another_process(name):
    datamodule = DigitsDataModule(augment=name, strong_augment=name)
    assert pickle.loads(pickle.dumps(datamodule)).input_shape == datamodule.input_shape
