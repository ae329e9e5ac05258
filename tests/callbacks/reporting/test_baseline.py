"""What a test says of its accuracy, and of answering always the same."""

import re

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier, DummyRegressor
from torch.utils.data import TensorDataset

from litzoo.callbacks import Baseline
from litzoo.datamodules import ClassCounts, DiabetesDataModule, DigitsDataModule, from_datasets
from litzoo.lit_modules import MLPClassifier, Regressor
from tests.scripts.helpers import CONFIGS, litzoo
from tests.training import cpu_trainer

Z = 1.959963984540054


def said_after(module, data, **options):
    """Returns what is said after a short training and a test."""
    trainer = cpu_trainer(callbacks=[baseline := Baseline()], **options)
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    return baseline.remarks


def rows(dataset):
    return dataset.inputs[dataset.indices].numpy(), dataset.targets[dataset.indices].numpy()


def diabetes():
    data = DiabetesDataModule()
    data.setup("fit")
    return data, Regressor(data.input_shape, data.target_mean, data.target_std)


def points(train, test):
    """Serves features of noise, as many of each class as given."""
    parts = []
    for counts in (train, train, test):
        target = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        parts.append(TensorDataset(torch.randn(len(target), 4), target))
    return from_datasets(*parts, class_names=["fine", "fraud"], batch_size=50)


def test_accuracy_of_the_most_frequent_class_in_training_is_said_where_the_model_is_not_better():
    torch.manual_seed(0)
    data = points(train=[90, 10], test=[180, 20])
    _, text = said_after(MLPClassifier((4,), 2, class_names=["fine", "fraud"], hidden=[4]), data, max_epochs=5)
    assert re.fullmatch(
        r"Always answering 'fine', the most frequent class in training, is right in 90.00% of them, and the "
        r"model in [\d.]+%: judge it by the accuracy of each class, not by acc\.",
        text,
    )


def test_it_equals_sklearns_dummy_classifier():
    data = DigitsDataModule(imbalance=ClassCounts({"1": 60, "3": 90, "5": 60}), known_classes=[1, 3, 5])
    names = {"class_names": ["1", "3", "5"]}
    (_,) = said_after(MLPClassifier((1, 28, 28), 3, **names), data, max_epochs=3)  # no oftener than by chance
    test_inputs, test_target = (each[rows(data.test_set)[1] >= 0] for each in rows(data.test_set))
    dummy = DummyClassifier(strategy="most_frequent").fit(*rows(data.train_set))
    rarest = int(np.bincount(test_target).argmin())
    constant = MLPClassifier((1, 28, 28), 3, **names)
    torch.nn.init.zeros_(constant.net.head.weight)
    constant.net.head.bias.data = 9 * torch.eye(3)[rarest]
    accuracy, text = said_after(constant, data, max_epochs=1, limit_train_batches=0)
    right, samples = int((test_target == rarest).sum()), len(test_target)
    # Where (accuracy - p)² = z² p (1 - p) / n.
    low, high = np.sort(np.roots([1 + Z**2 / samples, -2 * right / samples - Z**2 / samples, (right / samples) ** 2]))
    assert accuracy == (
        f"{right} of {samples} samples are classified correctly: the accuracy for samples like these is from {low:.2%} "
        f"to {high:.2%} (95 % interval)."
    )
    assert f"'3', the most frequent class in training, is right in {dummy.score(test_inputs, test_target):.2%}" in text
    assert f"and the model in {np.mean(test_target == rarest):.2%}: it is no better." in text


def test_the_error_of_the_mean_equals_that_of_sklearns_dummy_regressor():
    data, module = diabetes()
    (text,) = said_after(module, data, max_epochs=5)
    dummy = DummyRegressor().fit(*rows(data.train_set))
    test_inputs, test_target = rows(data.test_set)
    error = np.sqrt(np.mean((dummy.predict(test_inputs) - test_target) ** 2))
    mean, said = re.fullmatch(r"Always answering (.*), the mean .* has an RMSE of ([\d.]+) here\.", text).groups()
    assert float(mean) == pytest.approx(float(dummy.constant_.item()), rel=1e-5)
    assert float(said) == pytest.approx(error, rel=1e-5)


def test_a_regressor_that_is_no_better_is_called_so():
    data, module = diabetes()
    torch.nn.init.zeros_(module.net.head.weight)
    torch.nn.init.constant_(module.net.head.bias, 3.0)
    (text,) = said_after(module, data, max_epochs=1, limit_train_batches=0)
    assert text.endswith(": it is no better.")
    torch.nn.init.constant_(module.net.head.bias, torch.nan)
    (text,) = said_after(module, data, max_epochs=1, limit_train_batches=0)
    assert text.endswith("of nan: it is no better.")


def test_of_a_regressor_that_does_not_know_the_mean_nothing_is_said():
    data, _ = diabetes()
    assert said_after(Regressor(data.input_shape), data, max_epochs=1) == []


def test_the_summary_of_a_command_shows_it(capsys):
    config = str(CONFIGS / "diabetes_regressor.yaml")
    litzoo("fit", "--config", config, "--trainer.max_epochs=1", "--trainer.logger=false")
    assert "Always answering" in capsys.readouterr().out
