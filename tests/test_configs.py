import csv
import json
import math
import re
import shutil

import pytest
import torch
import yaml

from litzoo.datamodules import TableDataModule
from litzoo.scripts.cli.classes import class_at
from litzoo.scripts.cli.main import run
from tests.callbacks.kills import differences as differences_of_results
from tests.counted import count
from tests.scripts.helpers import CONFIGS, leave_undrawn, litzoo

pytestmark = pytest.mark.usefixtures("coarse_figures")

EVERY_CONFIG = sorted(CONFIGS.glob("*.yaml"))


def fitting(config):
    """Returns the options that make a config fit the tiny files."""
    return next((options for name, options in FITTING.items() if config.stem.startswith(name)), [])


def covering(asked):
    """Picks configs, those that ask for the most first, until everything that any of them asks for is in one."""
    picked, left = [], set.union(*asked.values())
    while left:
        picked.append(max(asked, key=lambda path: len(asked[path] & left)))
        left -= asked[picked[-1]]
    return picked


def tried(path):
    """Reads what a config asks for, but for a module in whose place another one is tried."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {**config, "model": {}} if set(SMALL) <= set(fitting(path)) else config


def asked_for(config, place=""):
    """Names the classes and options that a config sets, and the words and switches that it sets them to."""
    if isinstance(config, dict):
        place = f"{config['class_path']}." if "class_path" in config else place
        places = ((each, place if key == "init_args" else f"{place}{key}.") for key, each in config.items())
        return set().union({place}, *(asked_for(each, place) for each, place in places))
    if isinstance(config, list):
        return set().union({place}, *(asked_for(each, place) for each in config))
    return {place, f"{place}{config}"} if isinstance(config, str | bool) else {place}


TINY = [
    "--data.batch_size=8",
    "--data.eval_batch_size=8",
    "--data.val_size=20",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--trainer.limit_predict_batches=1",
]
UNFREEZING = "--trainer.callbacks.unfreeze_at={1: all}"
MASKS = ["--data.batch_size=2", "--data.eval_batch_size=2", "--data.train_size=4"]
MASKS += ["--model.proposals=20", "--model.min_size=0"]
POOL = ["--data.num_labeled=40", "--data.unlabeled_batch_size=12"]
SMALL = ["--model=CNNClassifier"]  # the ResNet, which takes long, is tried by two others
FITTING = {
    "mnist_long_tailed": ["--data.imbalance.init_args.factor=4"],
    "mnist_1000_curriculum": [*POOL, "--trainer.callbacks.start_epoch=0"],
    "mnist_1000_long_tailed": [*POOL, "--data.imbalance.init_args.factor=2"],
    "cifar10_1240_long_tailed": [*POOL, "--data.imbalance.init_args.factor=2"],
    **{f"{name}_supervised": POOL[:1] for name in ("mnist_1000", "fashion_mnist_1000", "cifar10_250", "cifar10_4000")},
    **dict.fromkeys(("mnist_1000_", "mnist_100_", "fashion_mnist_1000_", "cifar10_250_", "cifar10_4000_"), POOL),
    **dict.fromkeys(("digits_100_fixmatch", "digits_100_pseudo"), POOL[1:]),
    "fashion_mnist_few": ["--data.train_size=40"],
    "fashion_from_mnist": ["--data.train_size=20", UNFREEZING],
    "cifar10_half_to_half": ["--data.train_size=20", UNFREEZING],
    "cifar10_disturb_label": SMALL,
    "cifar10_long_tailed": ["--data.imbalance.init_args.factor=4"],
    "cifar10_vgg16": ["--model.network=squeezenet1_1", "--model.weights=null", "--model.size=null"],
    "shapes_maskrcnn": [*MASKS, "--data.images=24", "--data.side=48"],
    "nuclei_maskrcnn": MASKS,
    # As large as torchvision's, whose weights are not there, it would take minutes.
    "penn_fudan_maskrcnn": [*MASKS, "--data.test_size=10", "--model.backbone=light", "--model.weights=null"],
}
"""What configs with such names ask for and the tiny files cannot give."""
SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--test_after_fit=false"]
EVERY_CLASS = covering(
    {path: set(re.findall(r"class_path: ([\w.]+)", yaml.safe_dump(tried(path)))) for path in EVERY_CONFIG}
)
EVERY_OPTION = covering({path: asked_for(tried(path)) for path in EVERY_CONFIG})
"""Resumed after a kill, and run through all subcommands; the rest, made of what these are made of, train and test."""
COPIED = "--trainer.callbacks+=tests.scripts.helpers.CopiesRunFolder"


def results_in(folder):
    """Returns the metrics of a training, and all that its checkpoints hold but what it took, which may differ."""
    checkpoints = {
        name: torch.load(folder / "checkpoints" / name, weights_only=True) for name in ("best.ckpt", "last.ckpt")
    }
    for content in checkpoints.values():
        del content["callbacks"]["RunRecord"]
    return {**checkpoints, "metrics.json": json.loads((folder / "metrics.json").read_text())}


def train_teacher_of(config):
    """Trains the experiment that a config takes its teacher or its backbone from, if it has one."""
    for name in re.findall(r"(?:teacher|backbone): (\w+)", config.read_text(encoding="utf-8")):
        if (teacher := config.with_name(f"{name}.yaml")) in EVERY_CONFIG:
            litzoo("fit", "--config", str(teacher), *TINY, *SHORT, *fitting(teacher))


def test_every_class_of_any_config_goes_through_all_sub_commands():
    def classes(configs):
        return set(re.findall(r": ([A-Z]\w+|torch\.[\w.]+)$", yaml.safe_dump_all(configs), re.MULTILINE))

    every = classes(yaml.safe_load(path.read_text(encoding="utf-8")) for path in EVERY_CONFIG)
    assert {"MLPClassifier", "LogitAdjustedCrossEntropy", "torch.optim.SGD"} <= every
    assert every - classes(map(tried, EVERY_OPTION)) == set()


@pytest.mark.parametrize("config", EVERY_OPTION, ids=lambda path: path.stem)
def test_config_runs_through_all_sub_commands(config, tiny_data, any_checksum, monkeypatch, tmp_path, recwarn):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    options = ["--config", str(config), *TINY, *fitting(config)]
    two_epochs = [*SHORT, "--trainer.max_epochs=2"]
    with monkeypatch.context() as patched:
        leave_undrawn(patched)  # what the same run draws again, resumed
        train_teacher_of(config)
        folder = litzoo("fit", *options, *two_epochs, COPIED).run_folder
    unbroken = results_in(folder)
    shutil.rmtree(folder)
    shutil.move("killed", folder)
    assert litzoo("fit", *options, *two_epochs, "--ckpt_path=last").run_folder == folder
    assert differences_of_results(results_in(folder), unbroken) == []
    count("kills survived")

    for subcommand in ("test", "validate", "predict"):
        litzoo(subcommand, *options)
    assert not [each for each in recwarn if "instead of those given" in str(each.message)]
    check_run(config, folder, tmp_path, epochs=2)

    with (folder / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    classifies, segments, detects = kind_of(config)
    indices = [int(row["index"]) for row in rows]
    assert set(indices) == {0, 1} if segments else indices == list(range(8))
    assert all(("class_name" in row) == (classifies or segments) for row in rows)
    assert all(("unknown_score" in row) == detects for row in rows)


@pytest.mark.parametrize(
    "config", [path for path in EVERY_CONFIG if path not in EVERY_OPTION], ids=lambda path: path.stem
)
def test_config_trains_and_tests(config, tiny_data, any_checksum, monkeypatch, tmp_path):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    leave_undrawn(monkeypatch)
    train_teacher_of(config)
    options = ["--config", str(config), *TINY, *fitting(config)]
    folder = litzoo("fit", *options, *SHORT, "--test_after_fit=true").run_folder
    check_run(config, folder, tmp_path, epochs=1)


def kind_of(config):
    """Says whether a config's module tells classes, marks instances, and finds unknown classes."""
    text = config.read_text(encoding="utf-8")
    segments = "MaskRCNNSegmenter" in text
    return "Regressor" not in text and not segments, segments, "UnknownClassDetector" in text


def check_run(config, folder, tmp_path, epochs):
    """Checks what the training and the test of a config have left in its run folder."""
    assert folder == tmp_path / "runs" / config.stem / "version_0"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]

    text = config.read_text(encoding="utf-8")
    classifies, segments, detects = kind_of(config)
    table = issubclass(class_at(yaml.safe_load(text)["data"]["class_path"]), TableDataModule)
    figures = {"training_curves.png"} | ({"confusion_matrix.png"} if classifies else set())
    figures |= {"importance.png"} if table else {"predictions.png"} if classifies else set()
    figures |= {"residuals.png"} if "Regressor" in text else set()
    figures |= {"detection_progress.png"} if segments else set()
    figures |= {"detections.png"} if segments and (folder / "predictions.csv").exists() else set()
    figures |= {"unknown_scores.png", "unknown_gallery.png"} if detects else set()
    pseudo_labels = "pseudo_labels:" in config.read_text(encoding="utf-8")
    # Drawn where a wrong one was used, which is a matter of luck here.
    figures |= {path.name for path in (folder / "figures").glob("pseudo_labels_wrong.png") if pseudo_labels}
    assert {path.name for path in (folder / "figures").iterdir()} == figures
    assert (folder / "pseudo_labels.csv").exists() == pseudo_labels
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert list(folder.glob("events.out.tfevents.*"))

    metrics = json.loads((folder / "metrics.json").read_text())
    assert all(math.isfinite(value) for value in metrics.values())
    expected = {"loss", "acc"} if classifies else {"loss", "mae", "rmse"}
    expected = {"loss", "map", "map_50", "mask_map", "mask_map_50"} if segments else expected
    assert {f"{stage}/{name}" for stage in ("val", "test") for name in expected} <= set(metrics)
    assert json.loads((folder / "splits.json").read_text())["sizes"]["val"] == 20
    assert json.loads((folder / "run.json").read_text())["epochs"] == epochs
    assert any(name.startswith("test/unknown/") for name in metrics) == detects


@pytest.mark.parametrize("config", EVERY_CLASS, ids=lambda path: path.stem)
def test_saved_config_alone_repeats_the_run(config, tiny_data, any_checksum, monkeypatch, tmp_path):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    leave_undrawn(monkeypatch)
    train_teacher_of(config)
    first = litzoo("fit", "--config", str(config), *TINY, *SHORT, *fitting(config)).run_folder
    second = run(["fit", "--config", str(first / "config.yaml")]).run_folder
    assert second == first.with_name("version_1")
    assert json.loads((second / "metrics.json").read_text()) == json.loads((first / "metrics.json").read_text())
    saved = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (first, second)]
    assert saved[0] == saved[1]
