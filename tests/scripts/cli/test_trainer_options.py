import json

import pytest

from tests.scripts.helpers import MLP, SHORT, files_in, litzoo, short_fit

ALWAYS = {"config.yaml", "metrics.json", "run.json", "splits.json", "figures/training_curves.png"}
CHECKPOINTS = {"checkpoints/best.ckpt", "checkpoints/last.ckpt"}


def written(cli):
    return files_in(cli.run_folder)


def test_run_without_logger_writes_everything_but_events():
    assert written(short_fit("--trainer.logger=false")) == ALWAYS | CHECKPOINTS


def test_other_logger_leaves_the_run_folder_complete(tmp_path):
    logger = "lightning.pytorch.loggers.CSVLogger"
    cli = short_fit(f"--trainer.logger={logger}", "--trainer.logger.save_dir=logs")
    lines = next((tmp_path / "logs").rglob("metrics.csv")).read_text().splitlines()
    assert "val/loss" in lines[0]
    assert written(cli) >= ALWAYS | CHECKPOINTS
    litzoo("validate", *MLP)  # finds the newest run's checkpoint


def test_fast_dev_run_takes_one_batch_and_leaves_no_checkpoint():
    cli = litzoo("fit", *MLP, "--trainer.fast_dev_run=true")
    assert cli.trainer.global_step == 1
    assert not {name for name in written(cli) if name.endswith(".ckpt")}


def test_run_without_checkpoints_trains_and_tests_its_last_weights():
    cli = litzoo("fit", *MLP, *SHORT, "--trainer.enable_checkpointing=false", "--test_after_fit=true")
    assert not {name for name in written(cli) if name.endswith(".ckpt")}
    assert written(cli) >= ALWAYS
    assert "test/acc" in json.loads((cli.run_folder / "metrics.json").read_text())


def test_run_without_validation_keeps_the_last_epoch():
    cli = short_fit("--data.val_size=0", "--trainer.max_epochs=2", "--trainer.callbacks=[]")
    metrics = json.loads((cli.run_folder / "metrics.json").read_text())
    assert written(cli) >= ALWAYS | CHECKPOINTS
    assert metrics["epoch"] == 1
    assert not {name for name in metrics if name.startswith("val/")}
    assert json.loads((cli.run_folder / "splits.json").read_text())["sizes"]["val"] == 0


def test_early_stopping_without_validation_does_not_break_the_run():
    assert written(short_fit("--data.val_size=0")) >= CHECKPOINTS


@pytest.mark.parametrize("option", ["--trainer.enable_progress_bar=true", "--trainer.enable_model_summary=true"])
def test_what_the_user_sees_does_not_change_what_is_written(option):
    assert written(short_fit(option, "--trainer.logger=false")) >= ALWAYS | CHECKPOINTS
