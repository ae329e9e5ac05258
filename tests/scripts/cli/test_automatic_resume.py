"""`--resume auto` goes on with the newest run that was not trained to its end, and begins a new one otherwise."""

import json
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Callback

from litzoo.scripts.cli.automatic_resume import is_finished
from litzoo.scripts.cli.run_folder import lock_run_folder
from tests.scripts.helpers import MLP, litzoo

RUNS = Path("runs/digits_mlp")
AUTO = [*MLP, "--trainer.limit_train_batches=2", "--trainer.max_epochs=2", "--resume=auto"]
DIES = ["--trainer.callbacks=tests.scripts.helpers.DiesInEpoch", "--trainer.callbacks.epoch=1"]


class DiesInTest(Callback):
    """Ends the test as a crash would."""

    def on_test_start(self, *_):
        raise RuntimeError("killed")


def die(*options):
    """Trains one epoch of two, and dies as in a crash."""
    with pytest.raises(RuntimeError, match="killed"):
        litzoo("fit", *AUTO, *DIES, *options)


def said(recwarn):
    return " ".join(str(each.message) for each in recwarn)


def test_it_begins_goes_on_and_begins_again():
    die()
    assert not is_finished(RUNS / "version_0")
    resumed = litzoo("fit", *AUTO)
    assert resumed.run_folder == (RUNS / "version_0").absolute()
    assert resumed.trainer.global_step == 4
    record = json.loads((RUNS / "version_0" / "run.json").read_text())
    assert (record["finished"], record["parts"], record["epochs"]) == (True, 2, 2)
    again = litzoo("fit", *AUTO)
    assert again.run_folder == (RUNS / "version_1").absolute()
    # A run is repeated, and not resumed, from its own config.
    assert yaml.safe_load((RUNS / "version_1" / "config.yaml").read_text())["resume"] is None


def test_a_training_whose_test_is_missing_is_not_finished():
    with pytest.raises(RuntimeError, match="killed"):
        litzoo("fit", *AUTO, "--trainer.callbacks=tests.scripts.cli.test_automatic_resume.DiesInTest")
    assert (RUNS / "version_0" / "metrics.json").is_file()
    resumed = litzoo("fit", *AUTO)
    assert resumed.run_folder == (RUNS / "version_0").absolute()
    assert "test/acc" in json.loads((RUNS / "version_0" / "metrics.json").read_text())


def test_more_epochs_after_the_end_make_it_unfinished_until_they_are_trained():
    litzoo("fit", *AUTO)
    with pytest.raises(RuntimeError, match="killed"):
        litzoo(
            "fit", *AUTO[:-1], "--ckpt_path=last", "--trainer.max_epochs=4", *DIES[:1], "--trainer.callbacks.epoch=3"
        )
    assert not is_finished(RUNS / "version_0")
    assert litzoo("fit", *AUTO, "--trainer.max_epochs=4").trainer.current_epoch == 4
    assert is_finished(RUNS / "version_0")


def test_of_two_unfinished_runs_each_job_gets_its_own(recwarn):
    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            litzoo("fit", *AUTO[:-1], *DIES)
    with lock_run_folder(RUNS / "version_1"):
        resumed = litzoo("fit", *AUTO)
    assert resumed.run_folder == (RUNS / "version_0").absolute()
    assert "runs/digits_mlp/version_1 is being trained by another process, and is left alone" in said(recwarn)
    assert litzoo("fit", *AUTO).run_folder == (RUNS / "version_1").absolute()


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("--model.dropout=0.4", "model.dropout: 0.4, not"),
        ("--data.batch_size=50", "data.batch_size: 50, not"),
        ("--seed_everything=5", "seed_everything: 5, not 0"),
    ],
)
def test_a_run_with_another_model_data_or_seed_is_left_alone(option, word, recwarn):
    die()
    assert litzoo("fit", *AUTO, option).run_folder == (RUNS / "version_1").absolute()
    assert word in said(recwarn)
    assert "--ckpt_path runs/digits_mlp/version_0/checkpoints/last.ckpt" in said(recwarn)


def test_a_run_of_an_earlier_version_is_finished_if_it_has_metrics(tmp_path):
    assert not is_finished(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "metrics.json").write_text("{}")
    assert is_finished(tmp_path)


def test_a_refused_command_gives_the_run_back():
    die()
    with pytest.raises(ValueError, match="no_such_metric"):
        litzoo("fit", *AUTO, "--checkpoint.monitor=val/no_such_metric")
    with lock_run_folder(RUNS / "version_0"):
        pass


@pytest.mark.parametrize(
    ("environment", "again", "another"),
    [
        (
            {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "job"},
            {"SLURM_RESTART_COUNT": "1"},
            {"SLURM_RESTART_COUNT": "1", "SLURM_JOB_ID": "8"},
        ),
        (
            {
                "TORCHELASTIC_RUN_ID": "none",
                "TORCHELASTIC_ERROR_FILE": "/tmp/one/attempt_0/0/error.json",
                **dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"), "1"),
                **dict.fromkeys(("RANK", "LOCAL_RANK", "GROUP_RANK"), "0"),
            },
            {"TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_ERROR_FILE": "/tmp/one/attempt_1/0/error.json"},
            {"TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_ERROR_FILE": "/tmp/two/attempt_1/0/error.json"},
        ),
    ],
    ids=["SLURM", "torchrun"],
)
def test_a_run_that_was_finished_before_a_restart_is_not_trained_again(environment, again, another, monkeypatch):
    """A job that SLURM requeues, or processes that torchrun restarts, because one died when all was done."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    litzoo("fit", *AUTO)
    begun = litzoo("fit", *AUTO).run_folder  # the same script, not restarted
    assert begun == (RUNS / "version_1").absolute()
    for name, value in again.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        litzoo("fit", *AUTO)
    assert ended.value.code == 0
    assert len(list(RUNS.iterdir())) == 2
    other = litzoo("fit", *AUTO, "--seed_everything=5").run_folder  # the next command of a script
    assert other == (RUNS / "version_2").absolute()
    for name, value in another.items():
        monkeypatch.setenv(name, value)
    assert litzoo("fit", *AUTO).run_folder == (RUNS / "version_3").absolute()


def test_it_is_refused_with_a_checkpoint_and_for_other_commands(refused):
    refused(["fit", *AUTO, "--ckpt_path=last"], ["--resume auto", "so does last", "--ckpt_path"])
    refused(["test", *MLP, "--resume=auto"], ["--resume auto", "only a fit is resumed"])
    refused(["fit", *MLP, "--resume=yes"], ["--resume", "auto"])
