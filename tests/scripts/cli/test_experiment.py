import json
from pathlib import Path

import pytest
import yaml
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint

from litzoo import callbacks as zoo
from tests.scripts.helpers import MLP, TABLE, files_in, litzoo, short_fit


def of_class(cli, owner):
    return [callback for callback in cli.trainer.callbacks if isinstance(callback, owner)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], "digits_mlp"), (["--experiment=mine"], "mine")],
    ids=["name of the config file", "asked for"],
)
def test_experiment_names_the_folder(tmp_path, options, expected):
    assert short_fit(*options).run_folder == tmp_path / "runs" / expected / "version_0"


def test_run_without_config_file_is_unnamed():
    cli = litzoo("fit", "--data=DigitsDataModule", "--model=SoftmaxRegression", "--trainer.fast_dev_run=true")
    assert cli.run_folder.parent.name == "unnamed"


def test_first_of_stacked_configs_names_the_run_and_later_ones_win():
    Path("narrow.yaml").write_text("model:\n  init_args:\n    hidden: [16]\ntrainer:\n  max_epochs: 1\n")
    Path("wet.yaml").write_text("model:\n  init_args:\n    dropout: 0.5\n    hidden: [8, 8]\n")
    cli = short_fit("--config", "narrow.yaml", "--config", "wet.yaml")
    saved = yaml.safe_load((cli.run_folder / "config.yaml").read_text())["model"]["init_args"]
    assert cli.run_folder.parent.name == "digits_mlp"
    assert (saved["hidden"], saved["dropout"]) == ([8, 8], 0.5)
    assert saved["optimizer"]["class_path"] == "torch.optim.AdamW"  # the first file's, untouched by the others
    assert [tuple(weight.shape) for weight in cli.model.parameters() if weight.ndim == 2] == [(8, 784), (8, 8), (10, 8)]


def test_versions_grow_and_nothing_is_written_outside_the_run_folder(tmp_path):
    first = short_fit().run_folder
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    second = short_fit().run_folder
    assert (first.name, second.name) == ("version_0", "version_1")
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    assert all(name.startswith("runs/digits_mlp/version_") for name in files_in(tmp_path))


def test_root_of_the_runs_can_be_chosen(tmp_path):
    folder = short_fit("--trainer.default_root_dir=elsewhere").run_folder
    assert folder == tmp_path / "elsewhere" / "digits_mlp" / "version_0"
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_callbacks_of_the_config_join_the_default_ones():
    cli = short_fit()
    expected = [zoo.BestWeightsEarlyStopping, zoo.BestCheckpoint, zoo.FiniteLoss, zoo.TrainingCurves, zoo.RunRecord]
    expected += [zoo.RunSummary, zoo.PredictionGrid, zoo.ConfusionMatrixFigure, zoo.PredictionsCSV, LearningRateMonitor]
    assert [len(of_class(cli, owner)) for owner in expected] == [1] * len(expected)


POOL = ["--data.num_labeled=200", "--data.unlabeled_batch_size=32", "--model.pseudo_labels=FixMatch"]


@pytest.mark.parametrize(
    ("options", "counts"),
    [([], []), (POOL, [36]), ([*POOL, "--trainer.callbacks+=PseudoLabelReport", "--trainer.callbacks.count=5"], [5])],
)
def test_pseudo_labels_are_reported_on_where_there_are_any(options, counts):
    cli = short_fit(*options)
    assert [report.count for report in of_class(cli, zoo.PseudoLabelReport)] == counts
    assert (cli.run_folder / "pseudo_labels.csv").exists() == bool(counts)


def test_checkpoints_are_kept_in_an_order_and_a_way_that_a_kill_cannot_break():
    mine = "{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {filename: mine}}"
    trainer = short_fit(f"--trainer.callbacks+={mine}").trainer
    kept = [type(each) for each in trainer.checkpoint_callbacks]
    assert kept == [zoo.BestCheckpoint, ModelCheckpoint, zoo.LastCheckpoint]
    assert type(trainer.strategy.checkpoint_io) is zoo.AtomicCheckpointIO
    assert isinstance(trainer.callbacks[0], zoo.EpochSeed)  # before others draw
    assert Path(trainer.checkpoint_callback.best_model_path).name == "best.ckpt"  # what is tested


def test_callback_of_the_same_class_takes_the_place_of_the_default():
    cli = short_fit("--trainer.callbacks+=PredictionGrid", "--trainer.callbacks.count=4")
    assert [grid.count for grid in of_class(cli, zoo.PredictionGrid)] == [4]
    assert len(of_class(cli, zoo.BestWeightsEarlyStopping)) == 1  # the config file's own is still there


def test_progress_bar_of_the_user_takes_the_place_of_the_default():
    bar = "lightning.pytorch.callbacks.RichProgressBar"
    cli = short_fit("--trainer.enable_progress_bar=true", f"--trainer.callbacks=[{{class_path: {bar}}}]")
    assert type(cli.trainer.progress_bar_callback).__name__ == "RichProgressBar"


def test_regression_gets_no_figures_of_classes():
    cli = litzoo("fit", *TABLE, "--data.val_size=0.2", "--trainer.max_epochs=1")
    assert not of_class(cli, zoo.PredictionGrid) + of_class(cli, zoo.ConfusionMatrixFigure)
    assert {path.name for path in (cli.run_folder / "figures").iterdir()} == {
        "importance.png",
        "residuals.png",
        "training_curves.png",
    }
    metrics = json.loads((cli.run_folder / "metrics.json").read_text())
    assert {"train/loss", "val/loss", "val/rmse", "test/mae", "test/rmse", "test/r2"} <= set(metrics)


@pytest.mark.parametrize("tests", [True, False])
def test_fit_tests_unless_told_not_to(tests):
    cli = litzoo("fit", *MLP, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2", f"--test_after_fit={tests}")
    metrics = json.loads((cli.run_folder / "metrics.json").read_text())
    assert ("test/acc" in metrics) is tests
    assert (cli.run_folder / "figures" / "confusion_matrix.png").exists() is tests


def test_best_checkpoint_follows_the_metric_asked_for():
    cli = short_fit("--checkpoint.monitor=val/acc", "--checkpoint.mode=max")
    (checkpoint,) = of_class(cli, zoo.BestCheckpoint)
    metrics = json.loads((cli.run_folder / "metrics.json").read_text())
    assert float(checkpoint.best_model_score) == pytest.approx(metrics["val/acc"])
