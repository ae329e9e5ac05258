import csv
import json
import os
import shutil
import sys
import time
from pathlib import Path
from unittest.mock import patch

import optuna
import pytest
import yaml

from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.cli.failures import Ended
from litzoo.scripts.compare.worker import LITZOO, start
from litzoo.scripts.sweep import study as sweep_study
from litzoo.scripts.sweep.command import main, sweep
from tests.scripts.helpers import MLP, leave_undrawn, lines_of_error, litzoo

SPACE = "model.optimizer.lr: {log: [1e-4, 1e-1]}\nmodel.hidden: {choice: [[8], [16]]}\n"
SHORT = ["--trainer.accelerator=cpu", "--trainer.max_epochs=2", "--trainer.limit_train_batches=3"]
COMMAND = [*MLP, "--space", "space.yaml", "--name", "it", *SHORT]
FOLDER = Path("runs/sweep_it")


@pytest.fixture(autouse=True)
def _space(tmp_path):
    Path("space.yaml").write_text(SPACE)


@pytest.fixture(scope="module")
def swept_folder(tmp_path_factory):
    """A folder with a sweep of five trials. Not to be written into."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patched, patch.dict(os.environ):
        patched.chdir(folder)
        patched.setattr("litzoo.callbacks.reporting.figures.DPI", 30)
        leave_undrawn(patched)
        Path("space.yaml").write_text(SPACE)
        sweep([*COMMAND, "--trials=5"])
    return folder


@pytest.fixture
def swept(swept_folder, tmp_path):
    """The same, a copy in the test's own folder."""
    shutil.copytree(swept_folder / "runs", tmp_path / "runs")
    return tmp_path / FOLDER


def trials(folder=FOLDER):
    """Returns the rows of the table by the number of the trial."""
    with (folder / "trials.csv").open() as stream:
        return {int(row["trial"]): row for row in csv.DictReader(stream)}


def outcome(folder=FOLDER):
    """Returns values and options of the trials, without their durations."""
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "trial")} for _, row in sorted(trials(folder).items())
    ]


def fake_training(monkeypatch, train):
    """Replaces the training of a trial by a function of its words and its callback."""
    monkeypatch.setattr(sweep_study, "train", lambda words, pruning, log: train(words, pruning))
    monkeypatch.setattr("litzoo.scripts.sweep.report._write_best", lambda *_: None)


def test_the_best_config_trains_to_the_value_of_its_trial(swept):
    best = min(trials().values(), key=lambda row: float(row["val/loss"] or "inf"))
    text = (swept / "best.yaml").read_text()
    assert text.startswith(f"# The best of 5 trials: val/loss {float(best['val/loss']):.5g}, trial {best['trial']} ")
    assert float(yaml.safe_load(text)["model"]["init_args"]["optimizer"]["init_args"]["lr"]) == float(
        best["model.optimizer.lr"]
    )
    cli = litzoo("fit", "--config", str(swept / "best.yaml"))
    assert cli.run_folder == Path("runs/sweep_it_best/version_0").absolute()
    metrics = json.loads((cli.run_folder / "metrics.json").read_text())
    assert metrics["val/loss"] == pytest.approx(float(best["val/loss"]), rel=1e-6)
    assert "test/acc" in metrics


def test_trials_are_those_of_litzoo_fit_and_only_the_best_keeps_its_checkpoints(swept):
    kept = [path.parts[-3] for path in swept.glob("trial_*/version_0/checkpoints")]
    best = min(trials().values(), key=lambda row: float(row["val/loss"] or "inf"))
    assert kept == [f"trial_{int(best['trial']):03}"]
    for number, row in trials().items():
        config = yaml.safe_load((swept / f"trial_{number:03}/version_0/config.yaml").read_text())
        assert json.dumps(config["model"]["init_args"]["hidden"]) == row["model.hidden"]
    assert "train" in (swept / "trial_000/log.txt").read_text()


def test_the_results_have_the_table_and_the_figures(swept):
    text = (swept / "results.md").read_text()
    assert "| trial | val/loss |  | model.optimizer.lr | model.hidden |" in text
    assert "litzoo sweep" in text
    assert "![parallel coordinates](parallel_coordinates.png)" in text
    assert (swept / "parallel_coordinates.png").is_file()
    assert "No importance.png: it takes 8 completed trials" in text


def test_the_test_set_is_never_looked_at(monkeypatch):
    def looked_at(*_):
        raise AssertionError("the test set")

    setup = DigitsDataModule.setup
    monkeypatch.setattr(DigitsDataModule, "test_dataloader", looked_at)
    monkeypatch.setattr(
        DigitsDataModule, "setup", lambda self, stage: looked_at() if stage == "test" else setup(self, stage)
    )
    sweep([*COMMAND, "--trials=1"])
    assert trials()[0]["state"] == "completed"
    assert not [path for path in FOLDER.rglob("metrics*.json") if "test/" in path.read_text()]


def test_a_sweep_that_goes_on_finds_what_an_unbroken_one_does(swept_folder):
    sweep([*COMMAND, "--trials=2"])
    assert len(trials()) == 2
    sweep([*COMMAND, "--trials=5"])
    assert outcome() == outcome(swept_folder / FOLDER)


def test_repeating_a_finished_sweep_trains_nothing(swept, monkeypatch, capsys):
    fake_training(monkeypatch, lambda *_: pytest.fail("trained"))
    before = outcome()
    sweep([*COMMAND, "--trials=5"])
    assert outcome() == before
    assert "best.yaml" in capsys.readouterr().out


def test_an_interrupted_trial_is_repeated_with_its_values(monkeypatch):
    asked = []

    def train(words, pruning):
        asked.append(words)
        if len(asked) == 2:
            raise Ended(130, "ended by Ctrl-C; resume with ...")
        pruning.values.append(1.0 / len(asked))

    fake_training(monkeypatch, train)
    with pytest.raises(Ended, match="130") as ended:
        sweep([*COMMAND, "--trials=3"])
    assert ended.value.message == "ended by Ctrl-C; the same command goes on with the sweep"
    assert list(trials()) == [0]
    sweep([*COMMAND, "--trials=3"])
    options = [[word for word in words if word.startswith("--model")] for words in asked]
    assert options[2] == options[1]
    assert len(trials()) == 3


@pytest.mark.slow
def test_a_killed_sweep_goes_on(swept_folder):
    process = start(LITZOO, ["sweep", *COMMAND, "--trials=5"], dict(os.environ), Path("log.txt"), [])
    try:
        while process.is_alive() and not (FOLDER / "trial_001/log.txt").exists():
            time.sleep(0.05)
    finally:
        process.kill()
        process.join()
    sweep([*COMMAND, "--trials=5"])
    assert outcome() == outcome(swept_folder / FOLDER)


def test_a_trial_worse_than_the_median_is_stopped(monkeypatch):
    def train(words, pruning):
        number = pruning.trial.number
        for epoch in range(1, 9):
            pruning.values.append(1 + 0.1 * number + 1 / epoch)
            pruning.trial.report(pruning.values[-1], epoch)
            if pruning.trial.should_prune():
                raise optuna.TrialPruned

    fake_training(monkeypatch, train)
    options = [*COMMAND, "--trainer.max_epochs=8", "--trials=7"]
    sweep(options)
    states = {number: (row["state"], row["validations"]) for number, row in trials().items()}
    assert states == {**dict.fromkeys(range(5), ("completed", "8")), **dict.fromkeys((5, 6), ("stopped early", "2"))}
    sweep([*options, "--name=all", "--no_pruning"])
    assert {row["state"] for row in trials(Path("runs/sweep_all")).values()} == {"completed"}


def test_a_diverged_training_is_a_bad_trial_and_the_sweep_goes_on(capsys):
    Path("space.yaml").write_text("model.optimizer.lr: {choice: [1.0e+30, 0.01]}\n")
    sweep([*COMMAND, "--trials=4", "--model.optimizer=SGD"])
    by_rate = {row["model.optimizer.lr"]: row for row in trials().values()}
    assert by_rate["0.01"]["state"] == "completed"
    assert by_rate["1e+30"]["state"] == "stopped early"
    assert "not finite" in by_rate["1e+30"]["error"]
    assert "failed: the training loss is not finite" in capsys.readouterr().out


def test_failed_trials_do_not_count_and_three_in_a_row_end_the_sweep(monkeypatch):
    def train(words, pruning):
        if pruning.trial.number not in (1, 3):
            raise RuntimeError("out of memory")
        pruning.values.append(0.5)

    fake_training(monkeypatch, train)
    with pytest.raises(RuntimeError, match="out of memory"):
        sweep([*COMMAND, "--trials=3"])
    assert [row["state"] for _, row in sorted(trials().items())] == [
        *("failed", "completed", "failed", "completed"),
        *("failed", "failed", "failed"),
    ]


@pytest.mark.parametrize(
    ("space", "options", "words"),
    [
        ("model.optimizr.lr: {log: [0.1, 1]}", [], ["model.optimizr.lr", "nearest: model.optimizer.lr"]),
        ("model.optimizer.lrr: {log: [0.1, 1]}", [], ["model.optimizer.lrr", "nearest: model.optimizer.lr"]),
        ("trainer.max_epoch: {int: [1, 2]}", [], ["trainer.max_epoch", "trainer.max_epochs"]),
        ("model.dropout: {choice: [0.1, much]}", [], ["model.dropout: does not take much"]),
        ("seed_everything: {int: [0, 9]}", [], ["seed_everything: cannot be searched", "litzoo compare"]),
        ("data.val_size: {int: [100, 200]}", [], ["data.val_size: cannot be searched", "validated on"]),
        (SPACE, ["--checkpoint.monitor=test/acc"], ["--checkpoint.monitor test/acc", "val/loss"]),
        (SPACE, ["--checkpoint.monitor=null"], ["--checkpoint.monitor None"]),
        (SPACE, ["--trainer.devices=2"], ["--trainer.devices 2", "CUDA_VISIBLE_DEVICES"]),
        (SPACE, ["--experiment=mine"], ["--experiment: is set by the sweep"]),
        (SPACE, ["--test_after_fit=true"], ["--test_after_fit: is set by the sweep"]),
        (SPACE, ["--trials=0"], ["--trials 0: give at least 1"]),
        (SPACE, ["--trials=many"], ["--trials", "many"]),
        (SPACE, ["--name=../up"], ["--name", "../up"]),
        (SPACE, ["--space=none.yaml"], ["--space none.yaml", "cannot be read"]),
        (SPACE, ["--model.dropot=0.1"], ["dropot", "Nearest", "dropout"]),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_written(space, options, words, capsys, monkeypatch):
    Path("space.yaml").write_text(space)
    lines = lines_of_error(main, ["sweep", *COMMAND, *options], capsys, monkeypatch)
    assert [word for word in words if word not in "\n".join(lines)] == [], lines
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("space", "options", "words"),
    [
        (
            SPACE.replace("1e-1", "1"),
            [],
            ["another space", "model.optimizer.lr was {log: [0.0001, 0.1]}, is {log: [0.0001, 1.0]}"],
        ),
        (SPACE + "model.dropout: {uniform: [0, 1]}", [], ["another space", "model.dropout was not there"]),
        (SPACE, ["--trainer.max_epochs=3"], ["other options", "trainer.max_epochs was 2, is 3", "another --name"]),
        (SPACE, ["--seed=1"], ["other options", "--seed was 0, is 1"]),
    ],
)
def test_a_folder_with_another_sweep_is_refused(space, options, words, swept, capsys, monkeypatch):
    before = {path: path.read_bytes() for path in swept.rglob("*") if path.is_file()}
    Path("space.yaml").write_text(space)
    lines = lines_of_error(main, ["sweep", *COMMAND, *options], capsys, monkeypatch)
    assert [word for word in ["runs/sweep_it", *words] if word not in "\n".join(lines)] == [], lines
    assert {path: path.read_bytes() for path in swept.rglob("*") if path.is_file()} == before


def test_a_damaged_storage_is_refused(swept, capsys, monkeypatch):
    (swept / "journal.log").write_text('{"op_code"\n[]\n')
    lines = lines_of_error(main, ["sweep", *COMMAND], capsys, monkeypatch)
    assert lines[0].startswith("litzoo: error: runs/sweep_it/journal.log: is damaged")


def test_without_optuna_the_error_says_how_to_install_it(capsys, monkeypatch):
    monkeypatch.setattr("litzoo.scripts.sweep.command.find_spec", lambda name: None)
    lines = lines_of_error(main, ["sweep", *COMMAND], capsys, monkeypatch)
    assert lines[0] == "litzoo: error: litzoo sweep: needs optuna; `pip install 'litzoo[sweep]'`"


def test_a_learning_rate_that_the_scheduler_overrides_is_warned_of():
    Path("space.yaml").write_text("model.optimizer.lr: {log: [0.001, 0.1]}")
    one_cycle = ["--model.scheduler=OneCycleLR", "--model.scheduler.max_lr=0.01"]
    with pytest.warns(UserWarning, match=r"model\.optimizer\.lr has no effect"):
        sweep([*COMMAND, *one_cycle, "--trials=1"])


def test_help_needs_no_optuna(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["litzoo", "sweep", "--help"])
    main()
    assert "usage: litzoo sweep --config CONFIG --space SPACE.yaml" in capsys.readouterr().out
