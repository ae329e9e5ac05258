import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from litzoo.datamodules import DigitsDataModule


def enlarged(small, side=28):
    """Bilinear interpolation of an 8×8 image between pixel centres, one pixel at a time; borders repeat."""
    result = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            y, x = (np.clip((at + 0.5) * 8 / side - 0.5, 0, 7) for at in (row, column))
            top, left = int(y), int(x)
            bottom, right = min(top + 1, 7), min(left + 1, 7)
            down, across = y - top, x - left
            result[row, column] = (1 - down) * ((1 - across) * small[top, left] + across * small[top, right]) + down * (
                (1 - across) * small[bottom, left] + across * small[bottom, right]
            )
    return result


def parts(**options):
    datamodule = DigitsDataModule(**options)
    datamodule.setup("fit"), datamodule.setup("test")
    return datamodule


def test_images_are_scikit_learns_enlarged():
    small, labels = load_digits(return_X_y=True)
    images, targets = (
        torch.cat(both).numpy() for both in zip(*map(DigitsDataModule().read, (True, False)), strict=True)
    )
    assert (images.shape, images.dtype) == ((1797, 1, 28, 28), np.uint8)
    assert np.bincount(targets).tolist() == np.bincount(labels).tolist()
    for image, label in zip(small[:40].reshape(-1, 8, 8), labels, strict=False):
        # The hold-out has moved it: found by its pixels, right but for rounding to whole grey levels.
        distance = np.abs(images[:, 0] - enlarged(image) * 255 / 16).max(axis=(1, 2))
        assert targets[distance <= 0.501].tolist() == [label]


def test_the_hold_out_is_a_stratified_fifth_apart_from_training():
    datamodule = DigitsDataModule()
    (train, labels), (test, test_labels) = datamodule.read(train=True), datamodule.read(train=False)
    assert (len(train), len(test)) == (1438, 359)
    counts = torch.bincount(test_labels) + torch.bincount(labels)
    assert counts.tolist() == np.bincount(load_digits().target).tolist()
    assert ((torch.bincount(test_labels) - counts * 359 / 1797).abs() < 1).all()
    originals = {image.numpy().tobytes() for image in torch.cat([train, test])}
    assert len(originals) == 1797, "equal images would make the next line meaningless"
    assert not {image.numpy().tobytes() for image in train} & {image.numpy().tobytes() for image in test}


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"seed": 2**32 - 1}, {"val_size": 0}, {"train_size": 100, "val_size": 50}]
)
def test_the_hold_out_is_the_same_whatever_is_asked(options):
    assert torch.equal(parts(**options).test_set.inputs, parts().test_set.inputs)


def test_seeds_move_validation_within_training():
    first, second = parts(seed=1, val_size=0.25), parts(seed=2, val_size=0.25)
    assert not torch.equal(first.split.val, second.split.val)
    assert (len(first.train_set), len(first.val_set)) == (1438 - 360, 360)


def test_mean_and_std_are_those_of_the_training_images():
    pixels = DigitsDataModule().read(train=True)[0].double() / 255
    assert DigitsDataModule.mean[0] == pytest.approx(pixels.mean().item(), abs=1e-3)
    assert DigitsDataModule.std[0] == pytest.approx(pixels.std().item(), abs=1e-3)
