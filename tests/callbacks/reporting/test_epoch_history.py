import pytest
from lightning.pytorch import Callback

from litzoo.callbacks import TrainingCurves
from litzoo.callbacks.checkpoints.best_and_last import BestCheckpoint
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from tests.callbacks.scripted import Scripted
from tests.training import cpu_trainer


class RecordsMetrics(Callback):
    """Records `callback_metrics` after all end hooks of an epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch:
            self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer, pl_module):
        self.epochs.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def fit_digits(curves, **options):
    logged = RecordsMetrics()
    datamodule = DigitsDataModule(train_size=50, val_size=20, batch_size=10)
    trainer = cpu_trainer(callbacks=[curves, logged], **options)
    trainer.fit(SoftmaxRegression((1, 28, 28), 10), datamodule)
    return logged.epochs


def test_the_history_has_training_and_validation_metrics_of_every_epoch():
    curves = TrainingCurves()
    logged = fit_digits(curves, max_epochs=3)
    assert [entry["epoch"] for entry in curves.history] == [0, 1, 2]
    assert set(curves.history[0]) == {"epoch", "train/loss", "train/acc", "val/loss", "val/acc"}
    assert [{name: entry[name] for name in entry if name != "epoch"} for entry in curves.history] == logged


class LogsEverySecondEpoch(Callback):
    """Logs a training metric in every second epoch."""

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch % 2 == 0:
            pl_module.log("train/now_and_then", 7.0)


def test_a_metric_of_an_earlier_epoch_is_not_repeated():
    curves = TrainingCurves()
    trainer = cpu_trainer(max_epochs=4, callbacks=[LogsEverySecondEpoch(), curves])
    trainer.fit(Scripted([9.0, 1.0, 9.0, 2.0]))
    assert [entry.get("train/now_and_then") for entry in curves.history] == [7.0, None, 7.0, None]


def test_an_epoch_cut_short_by_max_steps_has_its_training_loss():
    curves = TrainingCurves()
    fit_digits(curves, max_epochs=-1, max_steps=8)
    assert [set(entry) >= {"train/loss", "train/acc"} for entry in curves.history] == [True, True]
    assert curves.history[1]["train/loss"] != curves.history[0]["train/loss"]


def test_epochs_without_validation_have_no_validation_metrics():
    curves = TrainingCurves()
    trainer = cpu_trainer(max_epochs=5, callbacks=[curves], check_val_every_n_epoch=2)
    trainer.fit(Scripted([9.0, 1.0, 9.0, 2.0, 9.0]))
    assert [entry.get("val/loss") for entry in curves.history] == [None, 1.0, None, 2.0, None]


@pytest.mark.parametrize("interrupted_after", [1, 2])
def test_a_resumed_run_has_the_history_of_earlier_epochs(interrupted_after):
    scores = [4.0, 3.0, 2.0, 1.0]  # always improving, so that the best checkpoint is the last one
    for epochs, checkpoint in [(interrupted_after, None), (4, "run/checkpoints/best.ckpt")]:
        curves = TrainingCurves()
        trainer = cpu_trainer(max_epochs=epochs, callbacks=[curves, BestCheckpoint()], enable_checkpointing=True)
        trainer.fit(Scripted(scores), ckpt_path=checkpoint)
    assert curves.history == [{"epoch": epoch, "val/loss": score} for epoch, score in enumerate(scores)]
