import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import Namespace
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from litzoo import Predictor
from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.cli.checkpoints import EVALUATION_ONLY, config_of_run, find_checkpoint, settle_model_options
from tests.scripts.helpers import CONFIGS, MLP, litzoo, short_fit


@pytest.fixture
def messages(recwarn):
    """What has been said of options that give way."""
    return lambda: [str(each.message) for each in recwarn if "options are used" in str(each.message)]


def probabilities_by_hand(checkpoint):
    """The perceptron of configs/digits_mlp.yaml in numpy, on the test digits: probabilities and true classes."""
    weights = {
        name: value.double().numpy() for name, value in torch.load(checkpoint, weights_only=True)["state_dict"].items()
    }
    data = DigitsDataModule()
    data.setup("test")
    hidden = (data.test_set.inputs.double().numpy().reshape(len(data.test_set), -1) / 255 - 0.3061) / 0.3250
    for layer in ("trunk.1", "trunk.4"):
        hidden = np.maximum(hidden @ weights[f"net.{layer}.weight"].T + weights[f"net.{layer}.bias"], 0)
    logits = hidden @ weights["net.head.weight"].T + weights["net.head.bias"]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True), data.test_set.targets.numpy()


@pytest.mark.parametrize(
    ("asked", "files", "expected"),
    [
        (None, ["0/checkpoints/best.ckpt", "1/checkpoints/best.ckpt"], "1/checkpoints/best.ckpt"),
        ("best", ["9/checkpoints/best.ckpt", "10/checkpoints/best.ckpt"], "10/checkpoints/best.ckpt"),
        ("last", ["0/checkpoints/best.ckpt", "0/checkpoints/last.ckpt"], "0/checkpoints/last.ckpt"),
        ("best", ["0/checkpoints/best.ckpt", "1/config.yaml"], "0/checkpoints/best.ckpt"),
    ],
    ids=["newest", "ten after nine", "last", "newest that has one"],
)
def test_checkpoint_is_that_of_the_newest_run_that_has_one(tmp_path, asked, files, expected):
    for file in files:
        path = tmp_path / "name" / f"version_{file}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_checkpoint(asked, tmp_path, "name") == tmp_path / "name" / f"version_{expected}"


@pytest.mark.parametrize("folder", ["a/version_10/checkpoints", "a/version_10", "a"])
def test_of_a_folder_its_checkpoints_are_named(tmp_path, folder, monkeypatch):
    for file in ("9/checkpoints/best.ckpt", "10/checkpoints/best.ckpt", "10/checkpoints/last.ckpt", "11/config.yaml"):
        path = tmp_path / "a" / f"version_{file}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    named = "a/version_10/checkpoints/best.ckpt or a/version_10/checkpoints/last.ckpt"
    for refused in (lambda: find_checkpoint(folder, tmp_path, "a"), lambda: Predictor.load(folder)):
        with pytest.raises(FileNotFoundError, match=rf"{folder}: is a folder; name the checkpoint in it, {named}$"):
            refused()
    Path("empty").mkdir()
    with pytest.raises(FileNotFoundError, match="--ckpt_path empty: is a folder without a checkpoint"):
        find_checkpoint("empty", tmp_path, "a")


def test_a_training_that_began_later_and_has_no_checkpoint_is_named(tmp_path):
    for file in ("2/config.yaml", "2/checkpoints/last.ckpt", "10/config.yaml", "1/config.yaml", "11/metrics.json"):
        path = tmp_path / "name" / f"version_{file}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.warns(UserWarning, match="version_2; version_10 is newer, but has no checkpoints"):
        assert find_checkpoint("last", tmp_path, "name").parents[1].name == "version_2"


def test_a_training_killed_in_its_first_epoch_has_nothing_to_go_on_with(tmp_path):
    (tmp_path / "name" / "version_0" / "checkpoints").mkdir(parents=True)
    for file in ("config.yaml", "checkpoints/best.ckpt", "checkpoints/.last.ckpt.7.partial"):
        (tmp_path / "name" / "version_0" / file).touch()
    with pytest.raises(FileNotFoundError, match=r"last: no run in .*name has a checkpoints/last.ckpt; train"):
        find_checkpoint("last", tmp_path, "name")


def test_checkpoint_of_a_hand_made_folder_does_not_get_in_the_way(tmp_path):
    for name in ("version_0", "version_old"):
        (tmp_path / "name" / name / "checkpoints").mkdir(parents=True)
        (tmp_path / "name" / name / "checkpoints" / "best.ckpt").touch()
    assert find_checkpoint("best", tmp_path, "name").parents[1].name == "version_0"


def test_given_file_is_taken_as_it_is(tmp_path):
    Path("mine.ckpt").touch()
    assert find_checkpoint("mine.ckpt", tmp_path, "name") == Path("mine.ckpt")


@pytest.mark.parametrize("subcommand", ["test", "validate", "predict"])
def test_without_a_path_the_newest_best_is_taken(trained, subcommand):
    newest = shutil.copytree(trained, trained.with_name("version_10"))
    shutil.copytree(trained, trained.with_name("version_9"))
    cli = litzoo(subcommand, *MLP)
    assert Path(cli.trainer.ckpt_path).resolve() == newest / "checkpoints" / "best.ckpt"
    assert cli.run_folder == newest
    if subcommand == "predict":
        assert [path.parent for path in trained.parent.rglob("predictions.csv")] == [newest]


@pytest.mark.parametrize("subcommand", ["test", "validate", "predict"])
@pytest.mark.parametrize(("options", "name"), [([], "best"), (["--ckpt_path", "last"], "last")])
def test_the_config_of_a_run_stands_for_its_checkpoints(trained, subcommand, options, name):
    shutil.copytree(trained, trained.with_name("version_1"))
    cli = litzoo(subcommand, "--config", str(trained / "config.yaml"), *options)
    assert Path(cli.trainer.ckpt_path).resolve() == trained / "checkpoints" / f"{name}.ckpt"
    assert cli.run_folder == trained


def test_a_resumed_training_is_of_the_run_whose_config_is_given(trained):
    shutil.copytree(trained, trained.with_name("version_1"))
    config = str(trained / "config.yaml")
    assert litzoo("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "3").run_folder == trained
    assert json.loads((trained / "run.json").read_text())["epochs"] == 3
    assert litzoo("fit", "--config", config).run_folder == trained.with_name("version_2")


def test_a_run_whose_config_is_given_and_that_has_no_checkpoint_is_named(trained):
    shutil.copytree(trained, trained.with_name("version_1"))
    (trained / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match=r"best: .*version_0/config.yaml is of a run that has no checkpoints/b"):
        find_checkpoint(None, Path("runs"), "digits_mlp", trained / "config.yaml")


def test_a_config_of_that_name_elsewhere_stands_for_no_run(trained):
    Path("configs").mkdir()
    Path("configs/config.yaml").touch()
    for config in (Path("configs/config.yaml"), trained / "other.yaml"):
        assert config_of_run([config, trained / "config.yaml"]) is None
    assert config_of_run([trained / "config.yaml", "configs/config.yaml"]) == trained / "config.yaml"
    assert config_of_run([]) is None


def test_a_run_is_tested_as_what_it_has_become(trained):
    outside = shutil.copy(trained / "checkpoints" / "last.ckpt", "pre trained.ckpt")
    begun = short_fit("--ckpt_path", outside, "--trainer.max_epochs", "4", "--trainer.limit_train_batches", "1.0")
    assert begun.run_folder == trained.with_name("version_1")
    cli = litzoo("test", "--config", str(begun.run_folder / "config.yaml"))
    assert Path(cli.trainer.ckpt_path).resolve() == begun.run_folder / "checkpoints" / "best.ckpt"
    assert cli.run_folder == begun.run_folder


def test_test_metrics_equal_those_computed_by_hand(trained):
    probabilities, target = probabilities_by_hand(trained / "checkpoints" / "best.ckpt")
    predicted = probabilities.argmax(axis=1)
    expected = {
        "test/loss": log_loss(target, probabilities),
        "test/acc": accuracy_score(target, predicted),
        "test/f1": f1_score(target, predicted, average="macro"),
    }
    recalls = recall_score(target, predicted, average=None)
    expected |= {f"test/acc/{name}": recall for name, recall in enumerate(recalls)}

    def found():
        metrics = json.loads((trained / "metrics.json").read_text())
        return {name: value for name, value in metrics.items() if name in expected}

    after_fit = found()
    assert after_fit == pytest.approx(expected, abs=1e-5)
    litzoo("test", *MLP)
    assert found() == after_fit


def test_predictions_equal_those_computed_by_hand(trained):
    litzoo("predict", *MLP)
    probabilities, _ = probabilities_by_hand(trained / "checkpoints" / "best.ckpt")
    with (trained / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["index"]) for row in rows] == list(range(359))
    assert [int(row["prediction"]) for row in rows] == probabilities.argmax(axis=1).tolist()
    assert [float(row["confidence"]) for row in rows] == pytest.approx(probabilities.max(axis=1), abs=1e-5)
    assert all(row["class_name"] == row["prediction"] for row in rows)


def test_metrics_file_keeps_training_and_validation_when_tested_again(trained):
    before = json.loads((trained / "metrics.json").read_text())
    (trained / "metrics.json").write_text(json.dumps({**before, "test/acc": -1, "test/old": 0}))
    litzoo("test", *MLP)
    assert json.loads((trained / "metrics.json").read_text()) == before


def test_last_checkpoint_leaves_the_best_ones_metrics_alone(trained):
    before = (trained / "metrics.json").read_text()
    cli = litzoo("test", *MLP, "--ckpt_path=last")
    assert Path(cli.trainer.ckpt_path).name == "last.ckpt"
    assert (trained / "metrics.json").read_text() == before


def test_a_config_does_not_override_an_option_before_it(trained):
    cli = litzoo("test", "--ckpt_path=last", "--config", str(trained / "config.yaml"))  # which has ckpt_path: null
    assert Path(cli.trainer.ckpt_path).name == "last.ckpt"


def test_foreign_place_of_a_checkpoint_gets_a_run_folder_of_its_own(trained, tmp_path):
    shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "mine.ckpt")
    cli = litzoo("test", *MLP, "--ckpt_path=mine.ckpt")
    assert cli.run_folder == trained.with_name("version_1")
    assert (cli.run_folder / "metrics.json").is_file()
    assert not (cli.run_folder / "config.yaml").exists()  # it is the trainings' that is kept


def test_options_that_the_checkpoint_overrides_are_named(trained, messages):
    others = ["--model.hidden=[7]", "--model.dropout=0.5", "--model.optimizer.lr=1", "--model.loss=FocalLoss"]
    others += ["--model.pseudo_labels=FixMatch", "--model.scheduler.warmup=0.5"]
    cli = litzoo("test", *MLP, *others)
    assert cli.model.hparams["hidden"] == [256, 128]
    (message,) = messages()
    assert set(message.split("given: ")[1].split("; ")) == {
        "model.hidden: [256, 128], not [7]",
        "model.dropout: 0.2, not 0.5",
        "model.optimizer.lr: 0.002, not 1.0",
        "model.loss: null, not FocalLoss",
        "model.pseudo_labels: null, not FixMatch",
        "model.scheduler.warmup: 0.1, not 0.5",
    }


def test_nothing_is_named_where_nothing_is_overridden(trained, messages):
    litzoo("test", *MLP)
    assert messages() == []


def test_resumed_training_keeps_what_the_checkpoint_was_trained_with(trained, messages):
    cli = short_fit("--ckpt_path=last", "--trainer.max_epochs=3", "--model.hidden=[7]")
    assert cli.trainer.current_epoch == 3
    assert any("hidden" in message for message in messages())


def test_the_docs_name_the_options_that_do_not_give_way():
    text = " ".join((CONFIGS.parent / "docs" / "command.md").read_text(encoding="utf-8").split())
    exceptions = text.partition("are ignored with a warning, except")[2].partition("finished training.")[0]
    assert all(f"`{name}`" in exceptions for name in EVALUATION_ONLY)


@pytest.mark.parametrize("name", EVALUATION_ONLY)
def test_options_that_only_an_evaluation_looks_at_do_not_give_way(name, recwarn):
    asked, used = (Namespace(class_path="a.B", init_args=Namespace(**{name: value})) for value in (0.5, 0.05))
    settle_model_options(asked, used, "best.ckpt")
    assert used.init_args[name] == 0.5
    assert not [each for each in recwarn if each.category is UserWarning]  # others are of unclosed files, by chance
