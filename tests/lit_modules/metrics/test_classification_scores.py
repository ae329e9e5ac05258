import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, recall_score

from litzoo.lit_modules.metrics import classification_scores, detailed_classification_scores

NAMES = ["cat", "dog", "emu", "fox"]


def draw(seed=0, count=500, classes=range(4), sharpness=1.5):
    random = np.random.RandomState(seed)
    target = random.choice(classes, count, p=np.arange(1, len(classes) + 1) / sum(range(1, len(classes) + 1)))
    logits = random.randn(count, 4) * sharpness
    logits[np.arange(count), target] += 1
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(target)


def calibration_error(logits, target, bins=15):
    """The definition of Guo et al. 2017: the m-th of M bins holds the confidences in ((m - 1) / M, m / M]."""
    probabilities = logits.double().softmax(dim=1).numpy()
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == target.numpy()
    error = 0.0
    for low, high in [(m / bins, (m + 1) / bins) for m in range(bins)]:
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed):
    logits, target = draw(seed)
    predicted = logits.argmax(dim=1)
    scores = classification_scores(logits, target) | detailed_classification_scores(logits, target, NAMES)
    expected = {
        "loss": log_loss(target, logits.double().softmax(dim=1), labels=range(4)),
        "acc": accuracy_score(target, predicted),
        "balanced_acc": balanced_accuracy_score(target, predicted),
        "f1": f1_score(target, predicted, average="macro"),
        "ece": calibration_error(logits, target),
        **{
            f"acc/{name}": recall
            for name, recall in zip(NAMES, recall_score(target, predicted, average=None), strict=True)
        },
    }
    assert {name: value.item() for name, value in scores.items()} == pytest.approx(expected, abs=1e-5)


def test_calibration_error_of_a_model_that_is_certain_of_everything():
    """A confidence of exactly 1, which float32 rounds to above logit differences of 17, belongs to the last bin."""
    logits = torch.tensor([[100.0, 0.0], [3.5, 0.0], [3.0, 0.0], [0.0, 90.0]])
    target = torch.tensor([1, 0, 0, 1])
    scores = detailed_classification_scores(logits, target, ["no", "yes"])
    assert scores["ece"].item() == pytest.approx(calibration_error(logits, target), abs=1e-6)


def test_a_class_without_a_sample_has_no_accuracy():
    logits, target = draw(classes=[0, 2, 3])
    scores = detailed_classification_scores(logits, target, NAMES)
    predicted = logits.argmax(dim=1)
    assert {name for name in scores if name.startswith("acc/")} == {"acc/cat", "acc/emu", "acc/fox"}
    assert (predicted == 1).any()
    recalls = recall_score(target, predicted, labels=[0, 2, 3], average=None)
    assert scores["balanced_acc"].item() == pytest.approx(recalls.mean())
    assert scores["acc/fox"].item() == pytest.approx(recall_score(target, predicted, labels=[3], average="macro"))
    assert scores["f1"].item() == pytest.approx(f1_score(target, predicted, average="macro"))


def test_a_slash_in_a_class_name_opens_no_group():
    logits, target = draw()
    assert "acc/T-shirt-top" in detailed_classification_scores(logits, target, ["T-shirt/top", "b", "c", "d"])
