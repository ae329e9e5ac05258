import math

import numpy as np
import pytest
import torch

from litzoo.lit_modules import AssignedLabels, FixMatch, OnlinePseudoLabels, SoftMixUp
from tests.lit_modules.semi_supervised.methods import K, Linear, batch, fixed_mix

WEIGHT = torch.tensor([[2.0, -1, 0, 0.5], [0, 1, -1, 0.5], [1, 0, 3, -2], [-1, 0.5, 0, 1]])


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def probabilities(inputs):
    """Predicted probabilities of a linear student, in double precision."""
    return softmax(inputs.double().numpy() @ WEIGHT.double().numpy())


def check(term, loss, confidence, label, used):
    assert term.loss.item() == pytest.approx(loss, rel=1e-5)
    assert term.confidence.tolist() == pytest.approx(list(confidence), rel=1e-5)
    assert term.label.tolist() == list(label)
    assert term.used.tolist() == list(used)


@pytest.mark.parametrize(
    ("method", "view", "least"),
    [
        (FixMatch(), "strong", 0.95),
        (FixMatch(threshold=0.6), "strong", 0.6),
        (OnlinePseudoLabels(), "weak", 0.0),
        (OnlinePseudoLabels(threshold=0.7), "weak", 0.7),
    ],
    ids=["FixMatch", "FixMatch 0.6", "online", "online 0.7"],
)
def test_the_most_probable_classes_of_the_weak_view_are_learned_above_the_threshold(method, view, least):
    data = batch(unlabeled=30)
    predicted = probabilities(data["unlabeled"]["weak"])
    label, confidence = predicted.argmax(axis=1), predicted.max(axis=1)
    used = confidence >= least
    losses = -np.log(probabilities(data["unlabeled"][view])[np.arange(30), label])
    assert 0 < used.sum() < 30 or least == 0
    # A sum divided by the whole unlabeled batch: samples that are not used count as 0.
    check(method(Linear(WEIGHT), data), losses[used].sum() / 30, confidence, label, used)


@pytest.mark.parametrize("view", ["weak", "strong"])
@pytest.mark.parametrize("least", [0.6, 0.8, 0.0])
def test_assigned_labels_are_looked_up_by_position(view, least):
    method, data = AssignedLabels(view=view), batch(unlabeled=8)
    label, confidence = torch.arange(40) % K, torch.arange(40) / 40
    index = torch.tensor([39, 0, 24, 31, 32, 7, 25, 38])  # two of them exactly at a threshold
    data["unlabeled"]["index"] = index
    method.assign(label, confidence, least)
    used = index.numpy() >= 40 * least
    losses = -np.log(probabilities(data["unlabeled"][view])[np.arange(8), index % K])
    assert method.current_threshold() == pytest.approx(least)
    expected = confidence[index].tolist(), label[index].tolist(), used
    check(method(Linear(WEIGHT), data), losses[used].sum() / 8, *expected)


def test_newly_assigned_labels_replace_the_old_ones_and_their_threshold():
    method, data = AssignedLabels(), batch()
    method.assign(torch.zeros(40, dtype=torch.int64), torch.full((40,), 0.5), 0.9)
    term = method(Linear(), data)
    assert term.label.tolist() == [0] * 6
    assert not term.used.any()
    method.assign(torch.full((40,), 2), torch.full((40,), 0.5), 0.25)
    term = method(Linear(), data)
    assert method.current_threshold() == 0.25
    assert term.label.tolist() == [2] * 6
    assert term.used.all()


def test_a_sample_without_an_assigned_label_is_not_used():
    method, data = AssignedLabels(), batch()
    label = torch.arange(40) % K
    label[data["unlabeled"]["index"][:4]] = -2
    method.assign(label, torch.ones(40), 0.0)
    term = method(Linear(WEIGHT), data)
    assert term.used.tolist() == [False] * 4 + [True] * 2
    rows = data["unlabeled"]["index"][4:]
    expected = -np.log(probabilities(data["unlabeled"]["weak"])[[4, 5], (rows % K).numpy()]).sum() / 6
    assert term.loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_soft_labels_are_mixed_like_their_images(threshold, monkeypatch):
    method, data = SoftMixUp(threshold=threshold, even=0.7, entropy=0.3), batch(labeled=3, unlabeled=6)
    weak, labeled = (data[part][name].double().numpy() for part, name in [("unlabeled", "weak"), ("labeled", "input")])
    predicted = probabilities(data["unlabeled"]["weak"])
    used = predicted.max(axis=1) >= threshold
    rows = 3 + used.sum()
    partner = torch.arange(rows).roll(2)
    fixed_mix(monkeypatch, method, partner, 0.8)
    term = method(Linear(WEIGHT), data)
    soft = np.concatenate([np.eye(K)[:3], predicted[used]])
    inputs = np.concatenate([labeled, weak[used]])
    mixed, soft = (0.8 * each + 0.2 * each[partner.numpy()] for each in (inputs, soft))
    answer = softmax(mixed[3:] @ WEIGHT.double().numpy())
    loss = -(soft[3:] * np.log(answer)).sum() / 6
    if used.any():
        mean = answer.mean(axis=0)
        loss += used.mean() * 0.7 * sum(1 / K * math.log(1 / K / each) for each in mean)
        loss -= used.mean() * 0.3 * (answer * np.log(answer)).sum(axis=1).mean()
    assert used.sum() == {0.0: 6, 1.0: 0}.get(threshold, used.sum())
    assert 0 < used.sum() < 6 or threshold != 0.5
    check(term, loss, predicted.max(axis=1), predicted.argmax(axis=1), used)


def test_probabilities_are_aligned_to_the_labels_by_running_means():
    counts, memory = np.array([30, 10, 5, 55]), 0.99
    method, student = OnlinePseudoLabels(align=True), Linear(class_counts=tuple(counts.tolist()))
    usual = np.full(K, 1 / K)
    for step in range(5):
        data = batch(unlabeled=20)
        data["unlabeled"]["weak"] += torch.tensor([3.0, 0, 0, step])
        plain = softmax(data["unlabeled"]["weak"].double().numpy())
        usual = memory * usual + (1 - memory) * plain.mean(axis=0)
        aligned = plain * (counts / counts.sum()) / usual
        aligned /= aligned.sum(axis=1, keepdims=True)
        label = aligned.argmax(axis=1)
        losses = -np.log(plain[np.arange(20), label])
        assert (label != plain.argmax(axis=1)).any()
        check(method(student, data), losses.mean(), aligned.max(axis=1), label, [True] * 20)


def test_alignment_brings_the_mean_probabilities_to_the_class_fractions_of_the_labels():
    method, student = FixMatch(align=True), Linear(class_counts=(10, 20, 30, 40))
    logits = 0.2 * torch.randn(500, K) + torch.tensor([1.0, 0, 0, 0.3])
    assert logits.softmax(dim=1).mean(dim=0)[0] > 0.4
    for _ in range(600):
        probabilities = method.probabilities(logits, student)
    assert probabilities.mean(dim=0).tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.01)
