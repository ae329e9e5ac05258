"""Temperature and prediction sets through the command: stored by a training, used by what starts later."""

import csv
import json
from pathlib import Path

import pytest
import torch

from litzoo import Predictor
from litzoo.__main__ import main as command
from tests.scripts.helpers import CONFIGS, lines_of_error, litzoo
from tests.scripts.trained_digits import images_of_test

CONFIG = ["--config", str(CONFIGS / "digits_mlp.yaml"), "--trainer.max_epochs=2", "--trainer.logger=false"]
RUN = Path("runs/digits_mlp/version_0")


def metrics():
    return json.loads((RUN / "metrics.json").read_text())


def test_a_training_calibrates_and_later_commands_use_it(drawn_figures, monkeypatch):
    litzoo("fit", *CONFIG, "--model.calibrate=temperature", "--trainer.callbacks+=PredictionSets")
    found = metrics()
    assert found["test/temperature"] != 1
    assert {"test/ece", "test/adaptive_ece", "test/ece_uncalibrated"} <= set(found)
    assert found["test/set_coverage"] > 0.85
    assert (RUN / "figures" / "reliability.png").exists()
    path = RUN / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    assert float(content["state_dict"]["temperature"]) == pytest.approx(found["test/temperature"])

    again = ["--config", str(RUN / "config.yaml"), f"--ckpt_path={path}"]
    litzoo("test", *again)
    assert metrics()["test/ece"] == found["test/ece"]
    litzoo("predict", *again)
    with (RUN / "predictions.csv").open(newline="") as stream:
        predicted = list(csv.DictReader(stream))
    assert "prediction_set" in predicted[0]
    Path("new").mkdir()
    from PIL import Image

    Image.fromarray(images_of_test()[0, 0].numpy()).save("new/a.png")
    monkeypatch.setattr("sys.argv", ["litzoo", "predict", "--ckpt_path", str(path), "--input", "new", "--device=cpu"])
    command()
    with Path("predictions.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert {name: row[name] for name in ("class_name", "prediction_set")} == {
        name: predicted[0][name] for name in ("class_name", "prediction_set")
    }
    assert float(row["confidence"]) == pytest.approx(float(predicted[0]["confidence"]), rel=1e-3)


@pytest.mark.parametrize("calibrate", ["temperature", "temperature_and_bias"])
def test_a_finished_training_is_calibrated_later(calibrate):
    litzoo("fit", *CONFIG)
    before = metrics()
    litzoo("fit", "--config", str(RUN / "config.yaml"), "--ckpt_path=last", f"--model.calibrate={calibrate}")
    after = metrics()
    assert after["test/temperature"] != 1
    assert after["test/ece_uncalibrated"] == pytest.approx(before["test/ece"], abs=1e-5)
    if calibrate == "temperature":  # which changes no predicted class
        assert after["test/acc"] == before["test/acc"]
    with pytest.warns(UserWarning, match=f"model.calibrate: {calibrate}, not none"):
        litzoo("test", *CONFIG, "--ckpt_path=best")
    assert metrics()["test/ece"] == after["test/ece"]
    content = torch.load(RUN / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["hyper_parameters"]["calibrate"] == calibrate
    assert hasattr(Predictor.load(RUN / "checkpoints" / "best.ckpt", device="cpu").module, "temperature")
    assert ("class_bias" in content["state_dict"]) == (calibrate == "temperature_and_bias")


def test_a_bias_is_left_out_of_a_test_that_asks_for_a_temperature():
    litzoo("fit", *CONFIG, "--model.calibrate=temperature_and_bias")
    before = metrics()
    with pytest.warns(UserWarning, match="was fitted together with a bias for each class"):
        litzoo("test", *CONFIG, "--ckpt_path=best", "--model.calibrate=temperature")
    assert metrics()["test/loss"] != before["test/loss"]


def test_bad_options_are_refused(capsys, monkeypatch):
    lines = lines_of_error(command, ["fit", *CONFIG, "--model.calibrate=platt"], capsys, monkeypatch)
    assert any("calibrate" in line for line in lines)
    few = ["fit", *CONFIG, "--model.calibrate=temperature", "--data.val_size=20"]
    lines = lines_of_error(command, few, capsys, monkeypatch)
    assert "temperature: 20 calibration samples; at least 50 are needed" in lines[0]
    sets = ["fit", *CONFIG, "--trainer.callbacks+=PredictionSets", "--trainer.callbacks.coverage=0.999"]
    lines = lines_of_error(command, sets, capsys, monkeypatch)
    assert "0.999 needs 999 calibration samples, but 144 calibration samples promise at most 0.993" in lines[0]
    assert not list(Path().rglob("*.ckpt"))
