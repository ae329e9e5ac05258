import json
import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from sklearn.metrics import accuracy_score
from torch.utils.data import DataLoader

from litzoo.callbacks import BestCheckpoint, LastCheckpoint, RunSummary
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MLPClassifier
from tests.callbacks.scripted import Scripted
from tests.training import cpu_trainer

CHECKPOINTS = Path("run/checkpoints")


def read(name):
    return json.loads(Path("run", name).read_text())


def fit_scripted(scores, checkpoint=None, **options):
    checkpoint = checkpoint or BestCheckpoint()
    options = {"max_epochs": len(scores)} | options
    trainer = cpu_trainer(callbacks=[RunSummary(), checkpoint], enable_checkpointing=True, **options)
    trainer.fit(Scripted(scores))


@pytest.mark.parametrize(("mode", "epoch"), [("min", 1), ("max", 2)])
def test_metrics_are_those_of_the_best_epoch(mode, epoch):
    scores = [5.0, 1.0, 7.0, 3.0]
    fit_scripted(scores, BestCheckpoint(mode=mode))
    assert read("metrics.json") == {"epoch": epoch, "val/loss": scores[epoch]}
    assert torch.load(CHECKPOINTS / "best.ckpt", weights_only=True)["epoch"] == epoch


@pytest.mark.parametrize("mode", ["min", "max"])
def test_an_epoch_with_a_nan_score_is_never_the_best(mode):
    fit_scripted([math.nan, 2.0, 2.0, math.nan], BestCheckpoint(mode=mode))
    assert read("metrics.json") == {"epoch": 1, "val/loss": 2.0}
    assert torch.load(CHECKPOINTS / "best.ckpt", weights_only=True)["epoch"] == 1


def test_without_validation_metrics_are_those_of_the_last_epoch():
    fit_scripted([], max_epochs=3)
    assert read("metrics.json") == {"epoch": 2}


def test_a_second_training_with_the_same_callback_has_a_history_of_its_own():
    summary = RunSummary()
    for scores in ([1.0, 2.0], [30.0, 10.0, 20.0]):
        checkpoints = BestCheckpoint()
        trainer = cpu_trainer(callbacks=[summary, checkpoints], enable_checkpointing=True, max_epochs=len(scores))
        trainer.fit(Scripted(scores))
    assert [entry["val/loss"] for entry in summary.history] == [30.0, 10.0, 20.0]
    assert read("metrics.json") == {"epoch": 1, "val/loss": 10.0}


def test_a_second_training_in_the_same_folder_replaces_the_metrics():
    fit_scripted([5.0, 1.0])
    fit_scripted([4.0])
    assert read("metrics.json") == {"epoch": 0, "val/loss": 4.0}


@pytest.fixture
def trained():
    """A module whose later epochs are worse, so that the best checkpoint does not have the last weights."""
    datamodule = DigitsDataModule(train_size=60, val_size=40, batch_size=10, eval_batch_size=30, seed=3)
    model = MLPClassifier(
        (1, 28, 28), 10, hidden=(16,), optimizer=lambda weights: torch.optim.SGD(weights, lr=0.2, momentum=0.9)
    )
    callbacks = [RunSummary(), BestCheckpoint(), LastCheckpoint()]
    trainer = cpu_trainer(max_epochs=3, callbacks=callbacks, enable_checkpointing=True)
    trainer.fit(model, datamodule)
    return trainer, model, datamodule


def test_each_command_replaces_only_its_own_metrics(trained):
    trainer, model, datamodule = trained
    fitted = read("metrics.json")
    assert {name.split("/")[0] for name in fitted} == {"epoch", "train", "val"}

    trainer.test(model, datamodule, ckpt_path=CHECKPOINTS / "best.ckpt", verbose=False)
    tested = read("metrics.json")
    assert {name: value for name, value in tested.items() if not name.startswith("test/")} == fitted
    index, targets = torch.arange(359), datamodule.test_set.targets
    predicted = model.eval()(datamodule.normalise(datamodule.test_images(index))).argmax(dim=1)
    assert tested["test/acc"] == pytest.approx(accuracy_score(targets, predicted))
    assert {f"test/acc/{digit}" for digit in range(10)} <= set(tested)
    assert all(math.isfinite(value) for value in tested.values())

    with torch.no_grad():
        model.net.head.bias[:] = 9 * torch.arange(10)
    trainer.validate(model, datamodule, verbose=False)
    validated = read("metrics.json")
    assert validated["val/loss"] > 2 * tested["val/loss"]
    assert {name: value for name, value in validated.items() if not name.startswith("val/")} == {
        name: value for name, value in tested.items() if not name.startswith("val/")
    }


def test_validating_the_best_checkpoint_changes_nothing(trained):
    trainer, model, datamodule = trained
    fitted = read("metrics.json")
    trainer.validate(model, datamodule, ckpt_path=CHECKPOINTS / "best.ckpt", verbose=False)
    assert read("metrics.json") == pytest.approx(fitted)


def test_a_test_of_the_last_checkpoint_does_not_change_the_metrics_of_the_best(trained):
    trainer, model, datamodule = trained
    fitted = read("metrics.json")
    trainer.test(model, datamodule, ckpt_path=CHECKPOINTS / "last.ckpt", verbose=False)
    assert read("metrics.json") == fitted


def test_the_summary_names_the_lowest_class_and_the_folders(trained, capsys):
    trainer, model, datamodule = trained
    trainer.test(model, datamodule, verbose=False)
    printed = capsys.readouterr().out
    metrics = read("metrics.json")
    worst = min((name for name in metrics if name.startswith("test/acc/")), key=lambda name: metrics[name])
    assert f"{worst} (lowest class)" in printed
    for line in ("run folder   run\n", f"figures      {Path('run/figures')}\n", "--logdir"):
        assert line in printed


@pytest.mark.parametrize("name", ["best", "last"])
def test_the_summary_says_after_how_many_epochs_the_tested_weights_were_saved(trained, capsys, name):
    trainer, model, datamodule = trained
    saved = torch.load(CHECKPOINTS / f"{name}.ckpt", weights_only=True)["epoch"] + 1
    assert (saved == 3) is (name == "last")
    trainer.test(model, datamodule, ckpt_path=CHECKPOINTS / f"{name}.ckpt", verbose=False)
    assert f"weights      {name}.ckpt, after {saved} epoch" in capsys.readouterr().out
    Path("run/run.json").write_text('{"epochs": 3}')  # as RunRecord writes it
    trainer.test(model, datamodule, ckpt_path=CHECKPOINTS / f"{name}.ckpt", verbose=False)
    assert f"weights      {name}.ckpt, after {saved} of 3 epochs\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0.9876, "0.9876"), (0.0000123, "1.23e-05"), (-0.0004567, "-0.000457"), (0.0, "0.0000"), (12345.6, "12,346")],
)
def test_a_metric_is_printed_with_the_digits_that_count(value, printed, capsys):
    class Constant(LightningModule):
        def test_step(self, batch, batch_idx):
            self.log("test/value", value)

    cpu_trainer(callbacks=[RunSummary()]).test(Constant(), DataLoader(torch.zeros(1, 1)), verbose=False)
    assert f"test/value │ {printed} " in capsys.readouterr().out
