import pytest
import torch

from litzoo.lit_modules.metrics import DetectionMetrics, DetectionOutputs, decoded, mask_areas

SIDE = 60


def objects(*rectangles, scores=None, masks=None):
    """Objects of class 1 whose masks fill their boxes, unless other rectangles are given for them."""
    filled = torch.zeros(len(rectangles), SIDE, SIDE, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(filled, masks or rectangles, strict=True):
        mask[top:bottom, left:right] = True
    found = {
        "boxes": torch.tensor(rectangles, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(rectangles), dtype=torch.int64),
        "masks": filled,
    }
    return found if scores is None else {**found, "scores": torch.tensor(scores)}


def filled_with(metric, images):
    """Updates a metric with `(detections, target)` of some images."""
    found, target = zip(*images, strict=True)
    batch = {"index": torch.arange(len(images)), "detections": found, "target": target}
    metric.update({**batch, "losses": torch.arange(float(len(images)))})
    return metric


def scores_of(*images):
    """Returns the metrics of images."""
    return filled_with(DetectionMetrics(), images).compute()


A, B, C, NOTHING = (0, 0, 20, 20), (30, 30, 50, 50), (10, 10, 30, 30), (40, 0, 50, 10)


def two_images():
    """Three objects: A is found by its box, but 58 % of its mask; B is missed; C's box is met by 68 %, its mask wholly.

    Two more detections, the second and the last by their scores, are of nothing.
    """
    first = objects(A, NOTHING, scores=[0.9, 0.8], masks=[(0, 0, 20, 11), NOTHING])
    first["masks"][0, 11, :12] = True  # 11 rows of 20 pixels and 12 more: 232 of 400
    second = objects((10, 10, 27, 26), NOTHING, scores=[0.7, 0.6], masks=[C, NOTHING])  # 17 · 16 of 400
    return [(first, objects(A, B)), (second, objects(C))]


def test_average_precision_is_that_computed_by_hand():
    scores = scores_of(*two_images())
    # Precision at recall 0, 0.01, ... 1: with A and C right it is 1 up to 1/3 (34 points), 2/3 up to 2/3 (33 points).
    both = (34 + 33 * 2 / 3) / 101
    assert scores["map_50"] == pytest.approx(both)
    assert scores["mask_map_50"] == pytest.approx(both)
    # The box of C counts at overlaps of 0.5 to 0.65; with A alone, precision is 1 up to 1/3.
    assert scores["map"] == pytest.approx((4 * both + 6 * 34 / 101) / 10)
    # The mask of A counts at 0.5 and 0.55; with C alone, the third by its score, precision is 1/3.
    assert scores["mask_map"] == pytest.approx((2 * both + 8 * 34 / 3 / 101) / 10)


def test_average_precision_is_the_mean_over_the_classes():
    found, target = objects(A, B, scores=[0.9, 0.8]), objects(A, B)
    found["labels"], target["labels"] = torch.tensor([1, 1]), torch.tensor([1, 2])
    scores = scores_of((found, target))
    assert scores["map_50"] == pytest.approx(0.5)  # class 1 is found, before a box of something else; class 2 is not


def test_nothing_found_scores_zero():
    scores = scores_of((objects(scores=[]), objects(A)))
    assert set(scores) == {"loss", "map", "map_50", "mask_map", "mask_map_50"}
    assert all(value == 0 for value in scores.values())


def test_the_loss_is_the_mean_over_the_images():
    assert scores_of(*two_images())["loss"] == 0.5


def test_every_image_is_collected_once_in_order_and_gather_resets():
    outputs = DetectionOutputs()
    for index, rectangle in [(4, A), (1, B), (4, A)]:
        outputs.update({"index": torch.tensor([index]), "detections": [objects(rectangle, scores=[0.5])]})
    images = outputs.gather()
    assert list(images) == [1, 4]
    assert outputs.gather() == {}
    for index, rectangle in [(1, B), (4, A)]:
        was, now = objects(rectangle, scores=[0.5]), decoded(images[index]["found"])
        assert set(was) == set(now)
        assert all(torch.equal(was[name], now[name]) for name in was)


def test_area_is_the_number_of_pixels():
    images = filled_with(DetectionOutputs(), two_images()).gather()
    assert mask_areas(images[0]["found"]) == [232, 100]
    assert mask_areas({"masks": []}) == []
