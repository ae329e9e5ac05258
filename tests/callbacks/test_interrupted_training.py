"""What a training or an evaluation leaves that was interrupted, in a notebook say: nothing that the next one sees."""

import copy
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from callbacks import (
    ConfusionMatrixFigure,
    ExponentialMovingAverage,
    MaxLogit,
    PredictionsCSV,
    PseudoLabelScheduler,
    Ramp,
    UnknownPoolFilter,
)
from datamodules import DigitsDataModule
from lit_modules import FixMatch, SoftmaxRegression
from tests.training import cpu_trainer


class Interrupts(Callback):
    """Fails at a hook."""

    def __init__(self, hook, epoch=0, batch=2):
        def fail(trainer, pl_module, *args):
            if not trainer.sanity_checking and trainer.current_epoch == epoch and (not args or args[2] == batch):
                raise RuntimeError("interrupted")

        setattr(self, hook, fail)


class Sees(Callback):
    """Keeps loss and weight of every step, and how many samples of the pool were used."""

    def __init__(self):
        self.losses, self.weights, self.used = [], [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())
        if pl_module.pseudo_labels is not None:
            self.weights.append(pl_module.pseudo_labels.weight)
            self.used.append(int(outputs["pseudo_used"].sum()))


def digits(**options):
    return DigitsDataModule(**{"train_size": 200, "val_size": 100, "batch_size": 20, "eval_batch_size": 20, **options})


def softmax(**options):
    torch.manual_seed(0)
    return SoftmaxRegression((1, 28, 28), 10, **options)


def fit(model, *callbacks, data=None, **options):
    trainer = cpu_trainer(callbacks=list(callbacks), num_sanity_val_steps=0, **options)
    trainer.fit(model, data or digits())
    return trainer


def interrupted(model, *callbacks, **options):
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(model, *callbacks, **options)


def test_means_of_an_epoch_are_of_its_own_steps():
    model, sees = softmax(), Sees()
    interrupted(model, Interrupts("on_train_batch_end", batch=4))
    trainer = fit(model, sees, limit_val_batches=0)
    expected = sum(sees.losses) / len(sees.losses)
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_an_evaluation_scores_its_own_answers(stage):
    model = softmax()
    interrupted(model, Interrupts("on_validation_batch_end"))
    fit(model, max_epochs=5, limit_val_batches=0)
    fresh = softmax()
    fresh.load_state_dict(model.state_dict())
    found, expected = (
        getattr(cpu_trainer(), stage)(each, datamodule=digits(), verbose=False)[0] for each in (model, fresh)
    )
    assert found == pytest.approx(expected)


def test_the_next_training_has_its_own_weight_and_the_whole_pool():
    pool = {"data": digits(num_labeled=50, unlabeled_batch_size=50), "limit_val_batches": 1}
    model, sees = softmax(pseudo_labels=FixMatch(weight=2.0, threshold=0.05)), Sees()
    schedule = PseudoLabelScheduler(weight=Ramp(final=2.0, start_epoch=1, end_epoch=9))
    barring = UnknownPoolFilter(MaxLogit(), 0.1, start_epoch=0)
    interrupted(model, barring, schedule, Interrupts("on_train_batch_end", epoch=1), max_epochs=3, **pool)
    fit(model, sees, **pool)
    assert set(sees.weights) == {2.0}
    assert set(sees.used) == {50}


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_a_module_that_was_lent_the_mean_has_its_own_weights_again(precision):
    class Copies(Callback):
        def on_validation_start(self, trainer, pl_module):
            self.own = copy.deepcopy(pl_module.state_dict())

        def on_validation_batch_start(self, trainer, pl_module, *args):
            self.lent = copy.deepcopy(pl_module.state_dict())

    model, copies = softmax(), Copies()
    stops = Interrupts("on_validation_batch_end")
    interrupted(model, ExponentialMovingAverage(0.9), copies, stops, precision=precision)
    assert not torch.equal(copies.lent["net.head.weight"], copies.own["net.head.weight"])
    assert all(torch.equal(each, copies.own[name]) for name, each in model.state_dict().items())


def test_predictions_are_those_of_the_module_that_predicts():
    writes, stops = PredictionsCSV(), Interrupts("on_predict_batch_end")
    with pytest.raises(RuntimeError, match="interrupted"):
        cpu_trainer(callbacks=[writes, stops]).predict(softmax(), digits())
    model = softmax()
    fit(model, max_epochs=5, limit_val_batches=0)
    for callback, folder in ((writes, "again"), (PredictionsCSV(), "fresh")):
        cpu_trainer(callbacks=[callback], default_root_dir=folder).predict(model, digits())
    assert Path("again/predictions.csv").read_text() == Path("fresh/predictions.csv").read_text()


def test_a_figure_is_of_the_module_that_is_tested(monkeypatch):
    drawn = []
    monkeypatch.setattr(ConfusionMatrixFigure, "draw", lambda self, trainer, names, outputs: drawn.append(outputs))
    monkeypatch.setattr("callbacks.classified_tests.publish_figure", lambda *args: None)
    draws, stops = ConfusionMatrixFigure(), Interrupts("on_test_batch_end")
    with pytest.raises(RuntimeError, match="interrupted"):
        cpu_trainer(callbacks=[draws, stops]).test(softmax(), digits(), verbose=False)
    model = softmax()
    fit(model, max_epochs=5, limit_val_batches=0)
    for callback in (draws, ConfusionMatrixFigure()):
        cpu_trainer(callbacks=[callback]).test(model, digits(), verbose=False)
    again, fresh = drawn
    assert torch.equal(again["logits"], fresh["logits"])
