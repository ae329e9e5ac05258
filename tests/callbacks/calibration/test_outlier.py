"""A temperature that rests on one calibration sample is named, with the sample."""

import re
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

from litzoo.callbacks import TemperatureScaling, fit_temperature, fit_temperature_and_bias
from litzoo.callbacks.calibration.outlier import find_outlier
from litzoo.datamodules import from_datasets
from litzoo.lit_modules import MLPClassifier
from tests.training import cpu_trainer


def sure(samples, size):
    """Logits of a network that is sure of all its answers, of which all are right."""
    target = torch.randint(3, (samples,), generator=torch.Generator().manual_seed(0))
    return size * nn.functional.one_hot(target, 3).double(), target


def test_a_sure_network_that_is_wrong_once_has_no_temperature_without_that_sample():
    logits, target = sure(60, 100.0)
    target[17] = (target[17] + 1) % 3
    found = find_outlier(fit_temperature, logits, target, fit_temperature(logits, target).temperature)
    assert found is not None
    assert (found.position, found.predicted, found.without) == (17, int(logits[17].argmax()), None)
    assert found.confidence == pytest.approx(1)


@pytest.mark.parametrize("fit", [fit_temperature, fit_temperature_and_bias])
def test_the_temperature_without_the_sample_is_that_of_the_others(fit):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(80, 3, generator=generator, dtype=torch.float64)
    target = torch.distributions.Categorical(logits=logits).sample()
    logits[5], target[5] = torch.tensor([90.0, 0, 0]), 2
    target[:3] = -1  # unknown classes are not calibrated on
    found = find_outlier(fit, logits, target, fit(logits, target).temperature)
    assert found is not None
    kept = torch.arange(80) != 5
    assert (found.position, found.predicted) == (5, 0)
    assert found.without == pytest.approx(fit(logits[kept], target[kept]).temperature)


@pytest.mark.parametrize("samples", [60, 200, 1000])
def test_a_calibrated_network_has_none(samples):
    for seed in range(10):
        logits = 2 * torch.randn(samples, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        torch.manual_seed(seed)
        target = torch.distributions.Categorical(logits=logits).sample()
        assert find_outlier(fit_temperature, logits, target, fit_temperature(logits, target).temperature) is None


@pytest.mark.parametrize("wrong", [True, False])
def test_a_training_names_the_sample_and_each_temperature_its_weights(tmp_path, monkeypatch, wrong, caplog):
    monkeypatch.chdir(tmp_path)
    target = np.arange(120) % 2
    inputs = np.random.default_rng(0).normal(size=(120, 2)) + 10 * (2 * target - 1)[:, None]
    given = target.copy()
    given[[70, 75]] = 1 - given[[70, 75]] if wrong else given[[70, 75]]
    inputs[75] = 0, 0  # in between: its loss is small
    samples = TensorDataset(torch.from_numpy(inputs).float(), torch.from_numpy(given))
    data = from_datasets(Subset(samples, range(60)), val=Subset(samples, range(60, 120)), batch_size=30)
    model = MLPClassifier(
        input_shape=(2,), num_classes=2, hidden=[], calibrate="temperature", optimizer=partial(torch.optim.SGD, lr=1.0)
    )
    trainer = cpu_trainer(max_epochs=40, callbacks=[TemperatureScaling()])
    if not wrong:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*rests on")
            with pytest.raises(ValueError, match="falls below"):
                trainer.fit(model, data)
        return
    with pytest.warns(UserWarning, match="rests on one of 60 calibration samples") as caught, caplog.at_level("INFO"):
        trainer.fit(model, data)
    (text,) = {str(each.message) for each in caught if "rests on" in str(each.message)}
    assert re.search(r"validation sample 10|training sample \d+", text), text
    assert re.search(r"Temperature [\d.]+ for the weights at the end of training: ", caplog.text)
