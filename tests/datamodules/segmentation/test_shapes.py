import numpy as np
import pytest
import torch

from litzoo.datamodules import ShapesDataModule
from litzoo.datamodules.segmentation.shapes import LEAST_VISIBLE, SHAPES, draw_shapes

SIDE = 64


def test_an_image_is_a_function_of_its_number_alone():
    first = draw_shapes(0, 5, SIDE)
    np.random.seed(3)
    draw_shapes(0, 4, SIDE)
    state = np.random.get_state()[1].tolist()
    again, other, test = draw_shapes(0, 5, SIDE), draw_shapes(0, 6, SIDE), draw_shapes(1, 5, SIDE)
    assert np.random.get_state()[1].tolist() == state
    assert all(torch.equal(was, now) for was, now in zip(first, again, strict=True))
    assert not torch.equal(first.image, other.image)
    assert not torch.equal(first.image, test.image)


def test_masks_are_disjoint_whole_and_of_the_shape_that_the_label_says():
    filled = {label: [] for label in range(1, 4)}
    for number in range(60):
        sample = draw_shapes(0, number, 128)
        assert 2 <= len(sample.labels) <= 6
        masks = sample.masks
        assert masks.sum(0).max() == 1
        assert masks.flatten(1).sum(1).min() >= 128**2 * 0.13**2 * LEAST_VISIBLE  # the smallest triangle has 1.3 r²
        # The last one is in front of all others. How much of the smallest circle around its centre of mass it fills:
        rows, columns = np.nonzero(masks[-1].numpy())
        farthest = ((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).max() + 0.5
        filled[int(sample.labels[-1])].append(len(rows) / (np.pi * farthest))
    means = {SHAPES[label - 1]: np.mean(fractions) for label, fractions in filled.items()}
    # Circle, and the regular polygons in it: 1, 2 / π and 3 √3 / 4 π.
    assert means == pytest.approx({"circle": 1, "square": 0.637, "triangle": 0.413}, rel=0.08)


def test_shapes_can_be_told_from_the_background():
    for number in range(20):
        sample = draw_shapes(0, number, SIDE)
        ground = sample.image[:, sample.instances == 0].float().mean(1)
        for mask in sample.masks:
            assert (sample.image[:, mask].float().mean(1) - ground).abs().max() > 25


def test_test_images_are_always_the_same_hundred():
    one, other = ShapesDataModule(images=10, side=32, seed=0), ShapesDataModule(images=20, side=32, seed=7)
    for datamodule in (one, other):
        datamodule.setup("test")
    assert len(one.test_set) == len(other.test_set) == 100
    assert torch.equal(one.test_set.samples[3].image, other.test_set.samples[3].image)


@pytest.mark.parametrize(("option", "value"), [("images", 1), ("side", 31)])
def test_too_small_is_refused(option, value):
    with pytest.raises(ValueError, match=rf"data\.{option}: {value} is too small; give at least"):
        ShapesDataModule(**{option: value})
