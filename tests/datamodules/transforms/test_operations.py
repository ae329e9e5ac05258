"""Operations on batches against torchvision's, image by image."""

import pytest
import torch
from torchvision.transforms.v2 import AutoAugment, InterpolationMode

from litzoo.datamodules.transforms.operations import GEOMETRIC, OPERATIONS, apply_operations

LARGEST = {"ShearX": 0.99, "ShearY": 0.99, "TranslateX": 16.0, "TranslateY": 16.0, "Rotate": 135.0}
TORCHVISION = AutoAugment()


def one_by_one(images, operations, magnitudes, interpolation):
    apply, mode = TORCHVISION._apply_image_or_video_transform, InterpolationMode(interpolation)
    rows = zip(images, operations, magnitudes.tolist(), strict=True)
    return torch.stack([apply(image, name, size, mode, TORCHVISION._fill) for image, name, size in rows])


def draw(operation, count):
    if operation == "Posterize":
        return torch.randint(0, 9, (count,)).double()
    sizes = torch.rand(count, dtype=torch.float64)
    return sizes if operation == "Solarize" else (2 * sizes - 1) * LARGEST.get(operation, 0.9)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_that_of_torchvision(operation, channels, interpolation):
    images, sizes = torch.randint(256, (60, channels, 16, 20), dtype=torch.uint8), draw(operation, 60)
    changed = apply_operations(images, [operation] * 60, sizes, interpolation)
    difference = (changed.int() - one_by_one(images, [operation] * 60, sizes, interpolation).int()).abs()
    # In Color, torchvision multiplies and adds in one rounding, which a factor for each image does not allow.
    assert difference.max() <= (1 if operation == "Color" else 0)
    assert (difference > 0).double().mean() < 0.002


@pytest.mark.parametrize("operation", GEOMETRIC)
def test_black_moves_in_where_an_image_moves_away(operation):
    white = torch.full((4, 1, 20, 20), 255, dtype=torch.uint8)
    moved = apply_operations(white, [operation] * 4, torch.full((4,), LARGEST[operation] / 3))
    assert set(moved.unique().tolist()) == {0, 255}


def test_each_image_has_its_own_operation_and_the_originals_stay():
    operations = [*OPERATIONS] * 3
    images, sizes = torch.randint(256, (len(operations), 3, 12, 12), dtype=torch.uint8), torch.rand(len(operations))
    sizes[[row for row, name in enumerate(operations) if name == "Posterize"]] = 3
    before = images.clone()
    changed = apply_operations(images, operations, sizes)
    expected = one_by_one(images, operations, sizes, "nearest")
    assert (changed.int() - expected.int()).abs().max() <= 1
    assert torch.equal(images, before)
    identity = [row for row, name in enumerate(operations) if name == "Identity"]
    assert torch.equal(changed[identity], before[identity])
