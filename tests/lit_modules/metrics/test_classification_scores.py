import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, recall_score
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.functional.classification import multiclass_calibration_error

from litzoo.lit_modules import Classifier
from litzoo.lit_modules.metrics import AdaptiveCalibrationError, CalibrationError

NAMES = ["cat", "dog", "emu", "fox"]


def computed(logits, target, names, batch=None):
    """What a classifier logs for a test in batches."""
    module = Classifier(nn.Identity(), len(names), class_names=names)
    metrics = MetricCollection(module.metrics("test"), compute_groups=False)
    for start in range(0, len(target), batch or len(target)):
        rows = slice(start, start + (batch or len(target)))
        module.update_metrics(metrics, {"logits": logits[rows], "target": target[rows]})
    return metrics.compute()


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


def adaptive_calibration_error(logits, target, bins=15):
    """The same with bins of equally many samples, in the order of their confidence."""
    probabilities = logits.float().softmax(dim=1).double().numpy()
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == target.numpy()
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    return sum(len(part) / len(target) * abs(correct[part].mean() - confidence[part].mean()) for part in parts)


@pytest.mark.parametrize("batch", [None, 77])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed, batch):
    logits, target = draw(seed)
    predicted = logits.argmax(dim=1)
    scores = computed(logits, target, NAMES, batch)
    expected = {
        "loss": log_loss(target, logits.double().softmax(dim=1), labels=range(4)),
        "acc": accuracy_score(target, predicted),
        "balanced_acc": balanced_accuracy_score(target, predicted),
        "f1": f1_score(target, predicted, average="macro"),
        "ece": calibration_error(logits, target),
        "adaptive_ece": adaptive_calibration_error(logits, target),
        **{
            f"acc/{name}": recall
            for name, recall in zip(NAMES, recall_score(target, predicted, average=None), strict=True)
        },
    }
    assert {name: value.item() for name, value in scores.items()} == pytest.approx(expected, abs=1e-5)


def test_calibration_error_with_confidence_1():
    """A confidence of exactly 1, which float32 rounds to above logit differences of 17, belongs to the last bin."""
    logits = torch.tensor([[100.0, 0.0], [3.5, 0.0], [3.0, 0.0], [0.0, 90.0]])
    target = torch.tensor([1, 0, 0, 1])
    scores = computed(logits, target, ["no", "yes"])
    assert scores["ece"].item() == pytest.approx(calibration_error(logits, target), abs=1e-6)


def test_adaptive_calibration_error_by_hand():
    confidence = torch.tensor([0.9, 0.6, 0.7, 0.8])
    logits = torch.stack([confidence, 1 - confidence], dim=1).log()
    metric = AdaptiveCalibrationError(bins=2)
    metric.update(logits, torch.tensor([0, 1, 0, 0]))
    # (0.6, wrong) and (0.7, right); (0.8, right) and (0.9, right)
    assert metric.compute().item() == pytest.approx((abs(0.5 - 0.65) + abs(1 - 0.85)) / 2, abs=1e-6)
    few = AdaptiveCalibrationError()
    few.update(logits[:1], torch.tensor([1]))
    assert few.compute().item() == pytest.approx(0.9)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_adaptive_calibration_error_does_not_depend_on_the_order_of_equal_confidences(order):
    logits = torch.tensor([[50.0, 0.0]] * 4)
    metric = AdaptiveCalibrationError(bins=2)
    metric.update(logits[order], torch.tensor([0, 0, 1, 1])[order])
    assert metric.compute().item() == pytest.approx(0.5)


def test_a_class_without_a_sample_has_no_accuracy():
    logits, target = draw(classes=[0, 2, 3])
    scores = computed(logits, target, NAMES)
    predicted = logits.argmax(dim=1)
    assert {name for name in scores if name.startswith("acc/")} == {"acc/cat", "acc/emu", "acc/fox"}
    assert (predicted == 1).any()
    recalls = recall_score(target, predicted, labels=[0, 2, 3], average=None)
    assert scores["balanced_acc"].item() == pytest.approx(recalls.mean())
    assert scores["acc/fox"].item() == pytest.approx(recall_score(target, predicted, labels=[3], average="macro"))
    assert scores["f1"].item() == pytest.approx(f1_score(target, predicted, average="macro"))


def test_a_slash_in_a_class_name_opens_no_group():
    logits, target = draw()
    assert "acc/T-shirt-top" in computed(logits, target, ["T-shirt/top", "b", "c", "d"])


def test_samples_of_unknown_classes_are_left_out():
    logits, target = draw()
    expected = computed(logits[target != 1], target[target != 1], NAMES)
    found = computed(logits, torch.where(target == 1, -1, target), NAMES, batch=100)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {name: value.item() for name, value in expected.items()}
    )


@pytest.mark.parametrize("confidence", [0.7, 0.9, 0.95])
def test_the_calibration_error_of_a_million_calibrated_samples_is_zero(confidence):
    """Sums in float32, as in torchmetrics, are off by up to 0.001."""
    count, batch = 1_000_000, 1000
    logit = np.log(confidence / (1 - confidence))
    logits = torch.tensor([[logit, 0.0]], dtype=torch.float32).expand(batch, 2)
    target = (torch.arange(batch) >= round(confidence * batch)).long()
    metric = CalibrationError()
    for _ in range(count // batch):
        metric.update(logits, target)
    assert metric.counts.sum() == count
    assert metric.compute().item() < 1e-6
    single = multiclass_calibration_error(
        logits.repeat(count // batch, 1).softmax(dim=1), target.repeat(count // batch), 2, n_bins=15, norm="l1"
    )
    assert single.item() > 1e-4


def test_the_calibration_error_of_many_samples_is_that_of_float64():
    random = np.random.RandomState(0)
    logits = torch.tensor(3 * random.randn(200_000, 3), dtype=torch.float32)
    target = torch.tensor(random.randint(3, size=200_000))
    calibrated = torch.rand(200_000) < logits.softmax(dim=1).max(dim=1).values
    target = torch.where(calibrated, logits.argmax(dim=1), target)
    metric = CalibrationError()
    for start in range(0, 200_000, 1000):
        metric.update(logits[start : start + 1000], target[start : start + 1000])
    assert metric.compute().item() == pytest.approx(calibration_error(logits, target), abs=1e-6)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_the_calibration_error_stays_in_float64_in_a_module_of_another_type(kind):
    metric = CalibrationError()
    nn.ModuleList([metric]).to(kind)
    metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert metric.compute().dtype == torch.float64
