import pytest
import torch

from tests.datamodules.recording import record, with_pool
from tests.datamodules.transforms.test_augment import found_shift


def original_and_seen(datamodule, recorder, part, view):
    """Returns the first images of an epoch as they are in the file and as they were seen, both from 0 to 255."""
    index = recorder.column("train", "index", part=part)[:12]
    seen = recorder.column("train", view, part=part)[:12] * 0.3081 * 255 + 0.1307 * 255
    return datamodule.read(train=True)[0][index], seen


def shifts_of(original, seen):
    return [found_shift(*pair, reach=2) for pair in zip(original, seen.round().to(torch.uint8), strict=True)]


def test_weak_and_strong_are_two_views_of_the_same_images(tiny_data):
    datamodule = with_pool(tiny_data, augment="none", strong_augment="shift")
    recorder = record(datamodule)
    original, weak = original_and_seen(datamodule, recorder, "unlabeled", "weak")
    torch.testing.assert_close(weak, original.float(), atol=1e-3, rtol=0)
    shifts = shifts_of(*original_and_seen(datamodule, recorder, "unlabeled", "strong"))
    assert None not in shifts
    assert len(set(shifts)) > 5, "each image has a draw of its own"


@pytest.mark.parametrize(("part", "view"), [("labeled", "input"), ("unlabeled", "weak")])
def test_the_weak_view_is_augmented_as_labeled_images_are(tiny_data, part, view):
    datamodule = with_pool(tiny_data, augment="shift")
    shifts = shifts_of(*original_and_seen(datamodule, record(datamodule), part, view))
    assert None not in shifts
    assert len(set(shifts)) > 5


def test_the_strong_view_is_more_than_a_shift_and_still_a_normalised_image(tiny_data):
    datamodule = with_pool(tiny_data, augment="shift")
    recorder = record(datamodule)
    original, strong = original_and_seen(datamodule, recorder, "unlabeled", "strong")
    assert {batch["unlabeled"]["strong"].dtype for batch in recorder.seen["train", 0]} == {torch.float32}
    assert strong.shape == original.shape
    assert strong.min() >= -1e-3
    assert strong.max() <= 255 + 1e-3
    assert set(shifts_of(original, strong)) == {None}
