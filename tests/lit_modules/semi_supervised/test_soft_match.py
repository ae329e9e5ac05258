import math
import statistics

import pytest
import torch

from litzoo.lit_modules import SoftMatch
from tests.lit_modules.semi_supervised.methods import Linear, batch

C = 5


def probabilities(row):
    powers = [math.exp(each) for each in row]
    return [each / sum(powers) for each in powers]


def moved(memory, old, new):
    return memory * old + (1 - memory) * new


@pytest.mark.parametrize("memory", [0.0, 0.7, 0.999])
@pytest.mark.parametrize("deviations", [1.0, 2.0])
def test_weights_are_those_of_the_paper(memory, deviations):
    method, student = SoftMatch(align=False, deviations=deviations, memory=memory), Linear(class_counts=(1,) * C)
    mean, variance = 1 / C, 1.0
    for _ in range(6):
        data = batch(unlabeled=40, width=C)
        weak, strong = (data["unlabeled"][view].double().tolist() for view in ("weak", "strong"))
        confidence = [max(probabilities(row)) for row in weak]
        mean = moved(memory, mean, statistics.mean(confidence))
        variance = moved(memory, variance, statistics.variance(confidence))
        weights = [
            1 if each >= mean else math.exp(-((each - mean) ** 2) / (2 * variance / deviations**2))
            for each in confidence
        ]
        labels = [row.index(max(row)) for row in weak]
        losses = [-math.log(probabilities(row)[label]) for row, label in zip(strong, labels, strict=True)]
        expected = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / 40
        term = method(student, data)
        assert method.current_threshold() == pytest.approx(mean, rel=1e-5)
        assert term.label.tolist() == labels
        assert term.loss.item() == pytest.approx(expected, rel=1e-4)
        assert min(weights) < 1 or memory > 0.9


def test_aligned_confidence_sets_the_weights_and_not_the_labels():
    weak = torch.tensor([[0.55, 0.45, 0.0001], [0.9, 0.05, 0.05]]).log()
    method, data = SoftMatch(memory=0.0, deviations=1.0), batch(unlabeled=2, width=3)
    data["unlabeled"]["weak"] = weak
    term = method(Linear(class_counts=(1, 8, 1)), data)
    assert term.label.tolist() == [0, 0]  # aligned, the first would be class 1
    predicted = weak.exp().double()
    aligned = predicted * torch.tensor([0.1, 0.8, 0.1]) / predicted.mean(0)
    aligned = (aligned / aligned.sum(1, keepdim=True)).max(1).values
    assert aligned[0] > aligned[1]
    variance = aligned.var()
    weights = [1.0, math.exp(-((aligned[1] - aligned.mean()) ** 2) / (2 * variance))]
    losses = -data["unlabeled"]["strong"].double().log_softmax(1)[:, 0]
    expected = sum(weight * loss for weight, loss in zip(weights, losses.tolist(), strict=True)) / 2
    assert term.loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_variance_starts_at_1_so_that_early_labels_count():
    method = SoftMatch()
    assert method.current_threshold() == 0
    weights = method.sample_weights(torch.tensor([0.2, 0.3, 0.99]), 0.1)
    assert method.current_threshold() == pytest.approx(0.1 + 0.001 * (1.49 / 3 - 0.1))
    assert weights.min() > 0.9
