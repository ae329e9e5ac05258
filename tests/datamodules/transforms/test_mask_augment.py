import pytest
import torch

from litzoo.datamodules.segmentation.shapes import ShapesDataModule
from litzoo.datamodules.transforms.masks import MASK_AUGMENTATIONS, ImageWithMasks, augmented, boxes_around


def marked(height=12, width=20):
    """An image that shows its masks: the pixels of object k have the grey level 60 k."""
    masks = torch.zeros(3, height, width, dtype=torch.bool)
    masks[0, 1:4, 2:9] = masks[1, 6:11, 12:14] = masks[2, 8, 3] = True
    grey = (masks * torch.tensor([60, 120, 180])[:, None, None]).sum(0).to(torch.uint8)
    return grey.expand(3, -1, -1).contiguous(), torch.tensor([1, 2, 3]), masks


def test_boxes_hold_every_pixel_and_no_line_more():
    masks = marked()[2]
    assert boxes_around(masks).tolist() == [[2, 1, 9, 4], [12, 6, 14, 11], [3, 8, 4, 9]]
    assert boxes_around(masks[:0]).shape == (0, 4)


@pytest.mark.parametrize("name", ["mirror", "turn"])
def test_masks_stay_on_their_objects(name):
    image, labels, masks = marked()
    seen = set()
    for _ in range(60):
        changed, left, moved = augmented(MASK_AUGMENTATIONS[name](), ImageWithMasks(image, labels, masks))
        assert left.tolist() == [1, 2, 3]
        assert changed.dtype == torch.uint8
        assert moved.dtype == torch.bool
        levels = (moved * torch.tensor([60, 120, 180])[:, None, None]).sum(0)
        assert torch.equal(changed[0].long(), levels)
        seen.add((tuple(changed.shape), tuple(boxes_around(moved)[2].tolist())))
    assert len(seen) == {"mirror": 2, "turn": 8}[name]  # a mirror image or not, and four turns of each
    assert {shape for shape, _ in seen} == ({(3, 12, 20)} | ({(3, 20, 12)} if name == "turn" else set()))


def test_a_varied_image_keeps_its_masks_on_its_objects_and_drops_those_that_have_left():
    image, labels, masks = marked(40, 40)
    masks[2] = False
    masks[2, :3, :3] = True  # in a corner
    counts = set()
    for _ in range(40):
        changed, left, moved = augmented(MASK_AUGMENTATIONS["mirror_vary"](), ImageWithMasks(image, labels, masks))
        assert changed.shape == image.shape
        assert moved.any(dim=(1, 2)).all()
        assert len(left) == len(moved)
        counts.add(len(left))
        inside = changed[0][moved[left.tolist().index(2)]].float()
        assert inside.median() > changed[0][~moved.any(0)].float().median()
    assert min(counts) < max(counts) == 3


def test_none_changes_nothing():
    image, labels, masks = marked()
    assert all(
        torch.equal(was, now)
        for was, now in zip(marked(), augmented([], ImageWithMasks(image, labels, masks)), strict=True)
    )


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match=r"data\.augment: 'shift' is not one of none, mirror, mirror_vary, turn"):
        ShapesDataModule(augment="shift")
