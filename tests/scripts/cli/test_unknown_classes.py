"""Unknown classes through the command: what a training has learned holds in processes that start later."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from litzoo.scripts.cli.main import main
from tests.callbacks.open_set_digits import alike
from tests.scripts.helpers import CONFIGS, QUIET, lines_of_error, litzoo, litzoo_anew, undrawn_in

CONFIG = ["--config", str(CONFIGS / "digits_unknown.yaml")]
SMALL = ["--data.train_size=200", "--data.val_size=80", "--model.widths=[4, 4]", "--trainer.max_epochs=2"]
SMALL += ["--trainer.logger=false"]
ONE = "--trainer.callbacks.count=1"  # larger galleries take a second to draw
RUN = Path("runs/digits_unknown/version_0")


@pytest.fixture(scope="module")
def detecting_folder(tmp_path_factory):
    """A folder with a run whose checkpoints detect unknown classes. Not to be written into."""
    folder = tmp_path_factory.mktemp("detecting")
    with undrawn_in(folder):
        litzoo("fit", *CONFIG, *SMALL, ONE)
    return folder


@pytest.fixture
def detecting(detecting_folder, tmp_path):
    """The run folder, a copy in the test's own folder."""
    shutil.copytree(detecting_folder / "runs", tmp_path / "runs")
    return tmp_path / RUN


@pytest.fixture
def plain():
    """The run folder of a finished training without a detector."""
    return litzoo("fit", *CONFIG, *SMALL, "--trainer.callbacks=null", "--test_after_fit=false").run_folder


def metrics(run_folder, prefix="test/"):
    found = json.loads((run_folder / "metrics.json").read_text())
    return {name: value for name, value in found.items() if name.startswith(prefix)}


def predictions(run_folder):
    with (run_folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_a_new_process_finds_the_same(detecting):
    after_fit = metrics(detecting)
    assert len([name for name in after_fit if name.startswith("test/unknown/auroc/")]) == 8
    litzoo("predict", *CONFIG, *SMALL)
    here = predictions(detecting)
    for name in ("metrics.json", "predictions.csv"):
        (detecting / name).unlink()
    for subcommand in ("test", "predict"):
        status, printed = litzoo_anew(subcommand, *QUIET, *CONFIG, *SMALL, ONE)
        assert status == 0, printed
    assert metrics(detecting) == pytest.approx(after_fit, rel=1e-6)
    assert predictions(detecting) == here
    threshold = after_fit["test/unknown/threshold"]
    for row in here:
        assert (
            (row["prediction"] == "-1") == (row["class_name"] == "unknown") == (float(row["unknown_score"]) > threshold)
        )


def test_predictions_and_metrics_tell_the_same(detecting):
    cli = litzoo("predict", *CONFIG, *SMALL)
    targets, rows, found = cli.datamodule.test_set.targets.tolist(), predictions(detecting), metrics(detecting)
    answers = [int(row["prediction"]) for row in rows]
    pairs = list(zip(targets, answers, strict=True))
    known = [(target, answer) for target, answer in pairs if target >= 0]
    unknown = [answer for target, answer in pairs if target < 0]
    assert found["test/known/accepted"] == pytest.approx(sum(answer >= 0 for _, answer in known) / len(known))
    assert found["test/known/acc"] == pytest.approx(sum(target == answer for target, answer in known) / len(known))
    assert found["test/unknown/found"] == pytest.approx(unknown.count(-1) / len(unknown))


@pytest.mark.slow
def test_a_test_may_ask_for_another_acceptance_or_threshold(detecting):
    after_fit, fractions, thresholds = metrics(detecting), [], []
    for option in ("acceptance=0.7", "threshold=-1000.0", "acceptance=0.95"):
        litzoo("test", *CONFIG, *SMALL, ONE, f"--trainer.callbacks.{option}")
        found = metrics(detecting)
        fractions.append(found["test/known/accepted"])
        thresholds.append(found["test/unknown/threshold"])
    assert fractions[2] > fractions[0] > fractions[1] == 0
    assert thresholds[2] > thresholds[0] > thresholds[1] == -1000
    assert found == pytest.approx(after_fit)


@pytest.mark.parametrize("subcommand", ["test", "predict"])
def test_a_checkpoint_without_a_detectors_state_is_refused_in_a_few_lines(subcommand, plain, capsys, monkeypatch):
    command = [subcommand, *QUIET, *CONFIG, *SMALL]
    message = "\n".join(lines_of_error(main, command, capsys, monkeypatch))
    for words in ("the checkpoint lacks the threshold", "these parameters", "`litzoo fit --ckpt_path last`"):
        assert words in message
    assert not (plain / "predictions.csv").exists()


@pytest.mark.slow
def test_the_remedy_of_the_message_works_and_trains_nothing(plain):
    weights = {name: torch.load(plain / f"checkpoints/{name}.ckpt", weights_only=True) for name in ("best", "last")}
    trained = {name: value for name, value in metrics(plain, "").items() if not name.startswith("test/")}
    litzoo("fit", *CONFIG, *SMALL, ONE, "--ckpt_path=last")
    assert [path.name for path in plain.parent.iterdir()] == ["version_0"]
    for name, before in weights.items():
        after = torch.load(plain / f"checkpoints/{name}.ckpt", weights_only=True)
        assert (after["epoch"], after["global_step"]) == (before["epoch"], before["global_step"])
        assert alike(dict(after["state_dict"]), dict(before["state_dict"]))
        assert len(after["callbacks"]["UnknownClassDetector"]["known_scores"]) == 80
    found = metrics(plain)
    assert {name: value for name, value in metrics(plain, "").items() if not name.startswith("test/")} == trained
    assert 0.5 < found["test/unknown/auroc"] <= 1
    litzoo("test", *CONFIG, *SMALL, ONE)
    assert metrics(plain) == found
    litzoo("predict", *CONFIG, *SMALL)
    assert any(row["class_name"] == "unknown" for row in predictions(plain))


@pytest.mark.slow
def test_scores_that_were_not_there_in_the_training_are_added_likewise_also_in_a_copy_of_the_run(
    detecting, detecting_folder
):
    original = (detecting_folder / RUN / "checkpoints/best.ckpt").read_bytes()
    other = ["--trainer.callbacks.score=NearestNeighbors", "--trainer.callbacks.score.k=3", ONE]
    other += ["--trainer.callbacks.report=[MaxLogit]"]
    with pytest.raises(ValueError, match="lacks the threshold and the statistics of NearestNeighbors"):
        litzoo("test", *CONFIG, *SMALL, *other)
    litzoo("fit", *CONFIG, *SMALL, *other, "--ckpt_path=last", "--test_after_fit=false")
    litzoo("test", *CONFIG, *SMALL, *other)
    found = metrics(detecting)
    assert found["test/unknown/auroc"] == found["test/unknown/auroc/NearestNeighbors"]
    assert "test/unknown/auroc/ViM" not in found
    assert (detecting_folder / RUN / "checkpoints/best.ckpt").read_bytes() == original


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--data.known_classes=[3]", ["data.known_classes", "fewer than two classes"]),
        ("--data.val_size=0", ["val_size is 0", "or give a fixed threshold"]),
        ("--data.val_size=15", ["15 calibration samples", "needs 19"]),
        ("--trainer.callbacks.acceptance=1.0", ["acceptance", "1.0", "(0, 1)"]),
        ("--trainer.callbacks.score=callbacks.MaxLogits", ["MaxLogits"]),
    ],
)
def test_bad_input_is_refused_before_any_training(option, words, capsys, monkeypatch):
    lines = lines_of_error(main, ["fit", *QUIET, *CONFIG, *SMALL, option], capsys, monkeypatch)
    message = "\n".join(lines)
    assert len(lines) <= 10, message
    assert [word for word in words if word not in message] == [], message
    assert not list(Path("runs").rglob("version_*"))


def test_a_rehearsal_goes_through_and_reports_nothing_of_unknown_classes(capsys):
    cli = litzoo("fit", *CONFIG, *SMALL, "--trainer.fast_dev_run=1")
    found = cli.trainer.callback_metrics
    assert "test/loss" in found
    assert not [name for name in found if "unknown" in name]
