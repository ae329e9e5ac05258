import pytest
import torch
from torchvision.transforms.v2.functional import InterpolationMode, affine

from litzoo.datamodules.transforms.policies import RandomAffine


def smallest_and_largest(augmentation, images, monkeypatch):
    """Applies an augmentation with every draw at its one end, then at its other."""
    results = []
    for end in (0.0, 1.0):
        monkeypatch.setattr(torch, "rand", lambda *size, end=end, **_: torch.full(size, end))
        results.append(augmentation(images))
    return results


def torchvision_affine(images, angle=0.0, translate=(0, 0), scale=1.0):
    return affine(images, angle, list(translate), scale, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR)


@pytest.mark.parametrize("shape", [(20, 20), (20, 14)], ids=["square", "oblong"])
@pytest.mark.parametrize(
    ("ranges", "ends"),
    [
        ({"degrees": 30}, [{"angle": -30}, {"angle": 30}]),
        ({"degrees": 90}, [{"angle": -90}, {"angle": 90}]),
        ({"scale": 0.25}, [{"scale": 0.75}, {"scale": 1.25}]),
        ({"shift": 0.5}, [{"fraction": -0.5}, {"fraction": 0.5}]),
        ({"degrees": 20, "scale": 0.1}, [{"angle": 20, "scale": 0.9}, {"angle": -20, "scale": 1.1}]),
    ],
    ids=["rotation", "quarter turn", "scale", "shift", "rotation and scale"],
)
def test_the_furthest_draws_are_torchvisions_affine(ranges, ends, shape, monkeypatch):
    images = torch.rand(3, 2, *shape)
    results = smallest_and_largest(
        RandomAffine(**{"degrees": 0, "shift": 0, "scale": 0, **ranges}), images, monkeypatch
    )
    height, width = shape
    expected = []
    for end in ends:
        fraction = end.get("fraction", 0)
        options = {name: value for name, value in end.items() if name != "fraction"}
        expected.append(torchvision_affine(images, translate=(fraction * width, fraction * height), **options))
    # Which end of a symmetrical range is reached by which draw is nobody's business.
    in_order = all(torch.allclose(*pair, atol=1e-4) for pair in zip(results, expected, strict=True))
    reversed_ = all(torch.allclose(*pair, atol=1e-4) for pair in zip(results, expected[::-1], strict=True))
    assert in_order or reversed_


def test_without_ranges_nothing_changes():
    images = torch.randint(0, 256, (6, 3, 28, 20), dtype=torch.uint8)
    result = RandomAffine(degrees=0, shift=0, scale=0)(images)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, images.float(), atol=0.01, rtol=0)


def test_what_moves_in_from_outside_is_black():
    white = torch.full((50, 1, 28, 28), 255.0)
    result = RandomAffine(degrees=0, shift=0.4, scale=0)(white)
    assert result.min() == 0
    assert result.max() <= 255.01


def test_rotation_and_shift_differ_from_image_to_image():
    same = torch.rand(1, 1, 28, 28).expand(30, -1, -1, -1)
    for ranges in ({"degrees": 10}, {"shift": 0.1}, {"scale": 0.1}):
        result = RandomAffine(**{"degrees": 0, "shift": 0, "scale": 0, **ranges})(same)
        assert len({image.numpy().tobytes() for image in result}) == 30
