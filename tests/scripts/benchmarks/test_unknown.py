"""The benchmarks of unknown classes: tables, what is compared, and what separates logits."""

import pytest
import torch
from torch import nn

from litzoo.callbacks.unknown.scores import Evidence, Mahalanobis, ViM
from litzoo.scripts.benchmarks.unknown import pilots, scores

ENVIRONMENT = {"hardware": "a CPU", "torch": "2.0", "threads": 1, "date": "2026-01-01"}


def test_all_scores_are_compared_and_two_with_earlier_defaults():
    found = scores.compared_scores(128)
    assert len(found) == 13
    assert {"`NearestNeighbors`", "`RelativeMahalanobis`", "`ReAct`"} <= set(found)
    assert isinstance(found["`Mahalanobis`, shrinkage 0"], Mahalanobis)
    assert found["`Mahalanobis`, shrinkage 0"].shrinkage == 0
    earlier = found["`ViM`, dimension 64 of 128"]
    assert isinstance(earlier, ViM)
    assert earlier.dimension == 64


def test_norm_and_cosine_are_the_parts_of_a_logit():
    head = nn.Linear(2, 2)
    head.weight.data, head.bias.data = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.zeros(2)
    # Two known samples, and two unknown ones: one shorter, one between the classes.
    features = torch.tensor([[5.0, 0.0], [0.0, 4.0], [1.0, 0.0], [3.0, 3.0]])
    unknown = torch.tensor([False, False, True, True])
    parts = scores.logit_parts(Evidence(head(features).detach(), features), unknown, head)
    assert parts["logit_auroc"] == 1.0  # 10, 8 against 2, 6
    assert parts["norm_auroc"] == 0.75  # 5, 4 against 1, 4.2
    assert parts["cosine_auroc"] == 0.75  # 1, 1 against 1, 0.7
    assert (parts["known_norm"], parts["unknown_norm"]) == pytest.approx((4.5, (1 + 18**0.5) / 2))


def test_tables_have_a_column_or_row_for_each_variant():
    row = {"auroc": 0.9, "fpr95_known_positive": 0.5, "found": 0.25, "accepted": 0.95}
    parts = {"logit_auroc": 0.9, "norm_auroc": 0.8, "cosine_auroc": 0.7, "known_norm": 4.0, "unknown_norm": 3.0}
    parts["known_norm_spread"] = 0.2
    values = {"scores": {"`MaxLogit`": row}, "acc": 0.99, **parts, "training": 12000, "options": "`config`"}
    other = {**values, "scores": {"`MaxLogit`": {**row, "auroc": 0.8}}}
    far = {**values, "scores": {"`MaxLogit`": {**row, "far": {"MNIST": 0.975}}}}
    text = scores.table({**ENVIRONMENT, "variants": {"one": {"0": values, "1": other}, "two": {"0": far}}})
    assert "| AUROC of score on far data, % | two against MNIST |" in text
    assert "| `MaxLogit` | 97.5 |" in text
    assert "one, n = 2 | two, n = 1 |" in text
    assert "| `MaxLogit` | 85.0 ± 7.1 (25.0 ± 0.0) | 90.0 (25.0) |" in text
    assert "| two | 90.0 | 80.0 | 70.0 | 4.0 | 3.0 | 20.0 | 99.0 |" in text
    runs = {"0": {"acc": 0.9, "seconds": 10.0, "MaxLogit": 0.8}, "1": {"acc": 0.9, "seconds": 12.0, "MaxLogit": 0.7}}
    text = pilots.table({**ENVIRONMENT, "samples": 12000, "variants": {"plain": runs}})
    assert "| plain | 2 | 90.0 ± 0.0 | 75.0 ± 7.1 | 11 ± 1 |" in text


def test_far_samples_are_ranked_above_known_ones():
    assert scores.auroc_between(torch.tensor([1.0, 2, 3, 4]), torch.tensor([2.5, 9])) == 0.75  # 2 and 4 of 4 below


def test_shuffled_images_have_the_same_pixels():
    images = torch.arange(28.0 * 28).view(1, 1, 28, 28).expand(3, -1, -1, -1)
    found = pilots.shuffled(images, torch.zeros(3))
    assert torch.equal(found.flatten(1).sort().values, images.flatten(1))
    assert all(not torch.equal(each, images[0]) for each in found)


def test_outliers_of_two_classes_are_made_of_both():
    torch.manual_seed(0)
    images, target = torch.zeros(40, 1, 28, 28), torch.arange(40) % 2
    images[target == 1] = 200
    blends, parts = pilots.blended(images, target), pilots.halves(images, target)
    assert len(blends) > 5
    assert ((blends > 50) & (blends < 150)).all()
    assert all(set(each.unique().tolist()) == {0, 200} for each in parts)
