import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

from litzoo.datamodules import UNKNOWN
from litzoo.scripts.cli.main import run
from tests.scripts.helpers import files_in
from tests.two_processes import scenarios

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [*scenarios.DIGIT_TESTS, *scenarios.TINY_TESTS])
def test_metrics_of_a_test_are_those_of_one_process(name, found, folder):
    by_two = found[0]["test", name]
    assert by_two == found[1]["test", name]
    assert by_two == pytest.approx(scenarios.metrics(name, "test"), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", [*scenarios.DIGIT_TESTS, *scenarios.TINY_TESTS])
def test_metrics_of_a_test_are_those_of_scikit_learn(name, found, folder):
    datamodule = scenarios.evaluation_data(name)
    datamodule.setup("test")
    known = datamodule.test_set.targets != UNKNOWN
    target = datamodule.test_set.targets[known].numpy()
    with torch.no_grad():
        images = datamodule.normalise(datamodule.test_set.inputs[known])
        logits = scenarios.trained_module(datamodule.num_classes).eval()(images).double()
    prediction = logits.argmax(dim=1).numpy()
    loss = log_loss(target, logits.softmax(dim=1).numpy(), labels=np.arange(datamodule.num_classes))
    by_two = found[0]["test", name]
    assert by_two["test/loss"] == pytest.approx(loss, rel=1e-5)
    assert by_two["test/acc"] == pytest.approx(accuracy_score(target, prediction), rel=1e-6)
    assert by_two["test/f1"] == pytest.approx(f1_score(target, prediction, average="macro"), rel=1e-5)


@pytest.mark.parametrize(("name", "size"), scenarios.TINY_TESTS.items())
def test_predictions_are_those_of_one_process_also_for_fewer_samples_than_processes(
    name, size, found, folder, tmp_path
):
    scenarios.predict(name, str(tmp_path))
    by_one, by_two = (pd.read_csv(each / "predictions.csv") for each in (tmp_path, folder / f"predicted {name}"))
    pd.testing.assert_frame_equal(by_two, by_one, rtol=1e-4)  # written with six digits
    assert len(by_two) == size


def test_metrics_of_a_validation_are_those_of_one_process(found, folder):
    by_two = found[0]["validate", "one batch"]
    assert set(by_two) == {"val/loss", "val/acc"}
    assert by_two == found[1]["validate", "one batch"]
    assert by_two == pytest.approx(scenarios.metrics("one batch", "validate"), rel=1e-6)


def test_the_command_leaves_one_run_with_one_split_and_the_metrics_of_one_process(found, folder):
    files = files_in(folder / "runs")
    assert {Path(name).parts[:2] for name in files} == {("digits_mlp", "version_0")}
    for name in ("splits.json", "metrics.json"):
        assert sum(file.endswith(name) for file in files) == 1
    version = folder / "runs" / "digits_mlp" / "version_0"
    by_two, split = (json.loads((version / name).read_text()) for name in ("metrics.json", "splits.json"))

    command = run(["test", *scenarios.COMMAND])
    command.datamodule.setup("fit")
    assert split["fingerprint"] == command.datamodule.fingerprint()
    assert split["label_noise"]["train"] == pytest.approx(round(0.2 * 201) / 201)
    by_one = json.loads((version / "metrics.json").read_text())
    assert by_one == pytest.approx(by_two, rel=1e-5, abs=1e-6)
    assert len([name for name in by_one if name.startswith("test/")]) > 4
