"""Lightning's finders of learning rate and batch size, and `ReduceLROnPlateau`, from the command line."""

from pathlib import Path

import pytest

from litzoo.scripts.cli.main import run

DATA = ["--data", "DigitsDataModule", "--data.batch_size", "20"]
TRAINER = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


@pytest.mark.parametrize("model", ["SoftmaxRegression", "CNNClassifier"])
@pytest.mark.parametrize("scheduler", [[], ["--model.scheduler", "StepLR", "--model.scheduler.step_size", "5"]])
def test_the_learning_rate_finder_sets_the_rate_and_draws_a_figure(model, scheduler, drawn_figures):
    finder = ["--trainer.callbacks+=LearningRateFinder", "--trainer.callbacks.num_training_steps", "30"]
    cli = run(["fit", *DATA, "--model", model, *scheduler, *TRAINER, *finder, "--experiment", "found"])
    found = next(each for each in cli.trainer.callbacks if type(each).__name__ == "LearningRateFinder")
    suggestion = found.optimal_lr.suggestion()
    assert suggestion != pytest.approx(1e-3)
    assert cli.model.lr == pytest.approx(suggestion)
    assert Path("runs/found/version_0/figures/learning_rate.png").is_file()


def test_the_batch_size_finder_sets_the_batch_size():
    finder = ["--trainer.callbacks+=BatchSizeFinder", "--trainer.callbacks.max_trials", "2"]
    cli = run(["fit", *DATA, "--model", "SoftmaxRegression", *TRAINER, *finder, "--experiment", "found"])
    assert cli.datamodule.batch_size == 4  # doubled from 2, as often as it may try


@pytest.mark.parametrize("monitor", [[], ["--model.scheduler.monitor", "val/acc"]])
def test_reduce_on_plateau_is_found_by_its_name(monitor):
    scheduler = ["--model.scheduler", "ReduceLROnPlateau", *monitor]
    validation = ["--trainer.check_val_every_n_epoch", "2", "--test_after_fit", "false"]
    cli = run(["fit", *DATA, "--model", "SoftmaxRegression", *scheduler, *TRAINER, *validation])
    (config,) = cli.trainer.lr_scheduler_configs
    assert config.reduce_on_plateau
    assert config.monitor == (monitor[1] if monitor else "val/loss")
