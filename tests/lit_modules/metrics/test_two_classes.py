"""Average precision and AUROC of the second of two classes, against scikit-learn."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torch.utils.data import TensorDataset
from torchmetrics import MetricCollection

from litzoo import Classifier, CSVClassificationDataModule, from_datasets
from litzoo.callbacks import RunSummary
from litzoo.lit_modules.metrics import TwoClassRanking
from tests.training import cpu_trainer


def rare(count=2000, sharpness=1.0, seed=0):
    """Logits and classes of samples, of which about three in a hundred are of the second class."""
    random = np.random.RandomState(seed)
    target = (random.rand(count) < 0.03).astype(int)
    logits = random.randn(count, 2)
    logits[:, 1] += 1.5 * target
    return torch.tensor(logits * sharpness, dtype=torch.float32), torch.tensor(target)


def computed(stage, logits, target, classes=2):
    module = Classifier(nn.Identity(), classes)
    metrics = MetricCollection(module.metrics(stage), compute_groups=False)
    for rows in torch.arange(len(target)).split(300):
        module.update_metrics(metrics, {"logits": logits[rows], "target": target[rows]})
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize("sharpness", [0.01, 1, 100])
def test_they_are_those_of_scikit_learn(stage, sharpness):
    logits, target = rare(sharpness=sharpness)
    margins = logits.double()[:, 1] - logits.double()[:, 0]
    found = computed(stage, logits, target)
    assert found["average_precision"] == pytest.approx(average_precision_score(target, margins), abs=1e-6)
    assert found["auroc"] == pytest.approx(roc_auc_score(target, margins), abs=1e-6)


def test_equal_predictions_count_as_in_scikit_learn():
    logits, target = rare()
    logits = logits.round()
    found = computed("test", logits, target)
    probabilities = logits.double().softmax(dim=1)[:, 1]
    assert found["average_precision"] == pytest.approx(average_precision_score(target, probabilities), abs=1e-6)
    assert found["auroc"] == pytest.approx(roc_auc_score(target, probabilities), abs=1e-6)
    same = computed("test", torch.zeros_like(logits), target)
    assert (same["average_precision"], same["auroc"]) == pytest.approx((float(target.double().mean()), 0.5))


def test_by_hand():
    """Ranked from the most likely: right, wrong, right, wrong."""
    metric = TwoClassRanking()
    metric.update(torch.tensor([[0.0, 4], [0, 3], [0, 2], [0, 1]]), torch.tensor([1, 0, 1, 0]))
    found = metric.compute()
    assert float(found["average_precision"]) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert float(found["auroc"]) == pytest.approx(3 / 4)


def test_samples_of_unknown_classes_are_left_out():
    logits, target = rare()
    hidden = torch.arange(len(target)) % 5 == 0
    found = computed("test", logits, target.masked_fill(hidden, -1))
    expected = computed("test", logits[~hidden], target[~hidden])
    assert found == pytest.approx(expected)


def test_they_need_both_classes_and_no_third():
    logits, target = rare()
    for there in (0, 1):
        found = computed("test", logits, torch.full_like(target, there))
        assert not {"average_precision", "auroc"} & set(found)
    more = torch.cat([logits, logits[:, :1]], dim=1)
    assert not {"average_precision", "auroc"} & set(computed("test", more, target, classes=3))
    assert np.isnan(computed("val", logits / 0, target)["auroc"])


def test_a_run_logs_them_and_says_of_which_class(capsys):
    names = ["fine", "fraud"]
    train, test = TensorDataset(*rare(400)), TensorDataset(*rare(400, seed=1))
    data = from_datasets(train, test=test, val_size=0.25, class_names=names)
    model = Classifier(nn.Linear(2, 2), 2, class_names=names)
    trainer = cpu_trainer(callbacks=[RunSummary()])
    trainer.fit(model, data)
    assert 0 < trainer.callback_metrics["val/average_precision"] <= 1
    (found,) = trainer.test(model, data, verbose=False)
    inputs, target = test.tensors
    scores = model.probabilities(inputs)[:, 1]
    assert found["test/average_precision"] == pytest.approx(average_precision_score(target, scores), abs=1e-6)
    assert found["test/auroc"] == pytest.approx(roc_auc_score(target, scores), abs=1e-6)
    assert "average_precision and auroc are of the class fraud" in capsys.readouterr().out


def test_a_frequent_second_class_is_told_with_the_option_that_puts_the_rare_one_there(capsys):
    _, rare_ones = rare(400)
    rows = [f"{size},{'ja' if is_rare else 'nein: nie'}" for size, is_rare in enumerate(rare_ones.tolist())]
    Path("table.csv").write_text("\n".join(["size,kind", *rows]), encoding="utf-8")
    told = []
    for known in (None, ["nein: nie", "ja"]):
        data = CSVClassificationDataModule(file="table.csv", target="kind", known_classes=known, root=".")
        model = Classifier(nn.Linear(1, 2), 2, class_names=data.class_names)
        trainer = cpu_trainer(callbacks=[RunSummary()])
        trainer.fit(model, data)
        trainer.test(model, data, verbose=False)
        told += model.remarks
        assert model.remarks[0] in capsys.readouterr().out
    assert told[1] == "average_precision and auroc are of the class ja, the second one."
    assert "of the class nein: nie, the second one, which is the more frequent one in training" in told[0]
    (option,) = re.findall(r"--data.known_classes '(.*)'", told[0])
    assert yaml.safe_load(option) == ["nein: nie", "ja"]
