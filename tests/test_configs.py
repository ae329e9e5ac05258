import csv
import json
import math
import re

import pytest
import yaml

from scripts.cli import run
from tests.scripts.helpers import CONFIGS, litzoo

EVERY_CONFIG = sorted(CONFIGS.glob("*.yaml"))


def fitting(config):
    """Returns the options that make a config fit the tiny files."""
    return next((options for name, options in FITTING.items() if config.stem.startswith(name)), [])


def classes_in(config):
    """Names all classes that a config asks for."""
    return tuple(re.findall(r"class_path: ([\w.]+)", config.read_text(encoding="utf-8")))


ONE_OF_EACH_KIND = list({classes_in(config): config for config in EVERY_CONFIG}.values())
TINY = [
    "--data.batch_size=8",
    "--data.eval_batch_size=8",
    "--data.val_size=20",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--trainer.limit_predict_batches=1",
]
FITTING = {
    "mnist_long_tailed": ["--data.imbalance.init_args.factor=4"],
    "fashion_mnist_few": ["--data.train_size=40"],
}
"""What configs with such names ask for and the tiny files cannot give."""
SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--test_after_fit=false"]


def test_there_are_configs():
    assert len(EVERY_CONFIG) >= 12


@pytest.mark.parametrize("config", EVERY_CONFIG, ids=lambda path: path.stem)
def test_config_says_in_its_first_line_what_it_is(config):
    first_line = config.read_text(encoding="utf-8").splitlines()[0]
    assert first_line.startswith("# ")
    assert len(first_line) > 30


@pytest.mark.parametrize("config", EVERY_CONFIG, ids=lambda path: path.stem)
def test_config_runs_through_all_sub_commands(config, tiny_data, any_checksum, monkeypatch, tmp_path):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    for subcommand in ("fit", "test", "validate", "predict"):
        litzoo(
            subcommand,
            "--config",
            str(config),
            *TINY,
            *fitting(config),
            *(SHORT if subcommand == "fit" else []),
        )
    folder = tmp_path / "runs" / config.stem / "version_0"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]

    classifies = "lit_modules.Regressor" not in config.read_text(encoding="utf-8")
    figures = {"training_curves.png"} | ({"confusion_matrix.png", "predictions.png"} if classifies else set())
    assert {path.name for path in (folder / "figures").iterdir()} == figures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert list(folder.glob("events.out.tfevents.*"))

    metrics = json.loads((folder / "metrics.json").read_text())
    assert all(math.isfinite(value) for value in metrics.values())
    expected = {"loss", "acc"} if classifies else {"loss", "mae", "rmse"}
    assert {f"{stage}/{name}" for stage in ("val", "test") for name in expected} <= set(metrics)
    assert json.loads((folder / "splits.json").read_text())["sizes"]["val"] == 20
    assert json.loads((folder / "run.json").read_text())["epochs"] == 1

    with (folder / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["index"]) for row in rows] == list(range(8))
    assert all(("class_name" in row) == classifies for row in rows)


@pytest.mark.parametrize("config", ONE_OF_EACH_KIND, ids=lambda path: path.stem)
def test_saved_config_alone_repeats_the_run(config, tiny_data, any_checksum, monkeypatch, tmp_path):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    first = litzoo("fit", "--config", str(config), *TINY, *SHORT, *fitting(config)).run_folder
    second = run(["fit", "--config", str(first / "config.yaml")]).run_folder
    assert second == first.with_name("version_1")
    assert json.loads((second / "metrics.json").read_text()) == json.loads((first / "metrics.json").read_text())
    saved = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (first, second)]
    assert saved[0] == saved[1]
