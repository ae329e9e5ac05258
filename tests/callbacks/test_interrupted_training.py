"""An interrupted training or evaluation, in a notebook say, leaves no state that affects the next one."""

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from matplotlib.figure import Figure

from litzoo.callbacks import (
    BestWeightsEarlyStopping,
    ConfusionMatrixFigure,
    ExponentialMovingAverage,
    FiniteLoss,
    GradualUnfreezing,
    MaxLogit,
    NoisyLabelFinder,
    PredictionsCSV,
    PseudoLabelScheduler,
    Ramp,
    UnknownClassDetector,
    UnknownPoolFilter,
)
from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.lit_modules import CNNClassifier, FixMatch, ForwardCorrection, SoftmaxRegression
from tests.callbacks import open_set_digits
from tests.callbacks.training.test_exponential_moving_average import SavesFirstEpoch
from tests.training import cpu_trainer


class Interrupts(Callback):
    """Raises an error in a hook."""

    def __init__(self, hook, epoch=0, batch=2):
        def fail(trainer, pl_module, *args):
            if not trainer.sanity_checking and trainer.current_epoch == epoch and (not args or args[2] == batch):
                raise RuntimeError("interrupted")

        setattr(self, hook, fail)


class RecordsSteps(Callback):
    """Records loss and pseudo-label weight of every step, and how many pool samples were used."""

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


def test_epoch_means_do_not_include_steps_of_an_interrupted_epoch():
    model, steps = softmax(), RecordsSteps()
    interrupted(model, Interrupts("on_train_batch_end", batch=4))
    trainer = fit(model, steps, limit_val_batches=0)
    expected = sum(steps.losses) / len(steps.losses)
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_an_evaluation_does_not_include_outputs_of_an_interrupted_one(stage):
    model = softmax()
    interrupted(model, Interrupts("on_validation_batch_end"))
    fit(model, max_epochs=5, limit_val_batches=0)
    fresh = softmax()
    fresh.load_state_dict(model.state_dict())
    found, expected = (
        getattr(cpu_trainer(), stage)(each, datamodule=digits(), verbose=False)[0] for each in (model, fresh)
    )
    assert found == pytest.approx(expected)


def test_the_next_training_has_the_configured_weight_and_the_whole_pool():
    pool = {"data": digits(num_labeled=50, unlabeled_batch_size=50), "limit_val_batches": 1}
    model, steps = softmax(pseudo_labels=FixMatch(weight=2.0, threshold=0.05)), RecordsSteps()
    schedule = PseudoLabelScheduler(weight=Ramp(final=2.0, start_epoch=1, end_epoch=9))
    pool_filter = UnknownPoolFilter(MaxLogit(), 0.1, start_epoch=0)
    interrupted(model, pool_filter, schedule, Interrupts("on_train_batch_end", epoch=1), max_epochs=3, **pool)
    fit(model, steps, **pool)
    assert set(steps.weights) == {2.0}
    assert set(steps.used) == {50}


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_an_interrupted_validation_of_the_average_restores_the_weights(precision):
    class Copies(Callback):
        def on_validation_start(self, trainer, pl_module):
            self.own = copy.deepcopy(pl_module.state_dict())

        def on_validation_batch_start(self, trainer, pl_module, *args):
            self.averaged = copy.deepcopy(pl_module.state_dict())

    model, copies = softmax(), Copies()
    interrupts = Interrupts("on_validation_batch_end")
    interrupted(model, ExponentialMovingAverage(0.9), copies, interrupts, precision=precision)
    assert not torch.equal(copies.averaged["net.head.weight"], copies.own["net.head.weight"])
    assert all(torch.equal(each, copies.own[name]) for name, each in model.state_dict().items())


def test_predictions_do_not_include_those_of_an_interrupted_run():
    predictions, interrupts = PredictionsCSV(), Interrupts("on_predict_batch_end")
    with pytest.raises(RuntimeError, match="interrupted"):
        cpu_trainer(callbacks=[predictions, interrupts]).predict(softmax(), digits())
    model = softmax()
    fit(model, max_epochs=5, limit_val_batches=0)
    for callback, folder in ((predictions, "again"), (PredictionsCSV(), "fresh")):
        cpu_trainer(callbacks=[callback], default_root_dir=folder).predict(model, digits())
    assert Path("again/predictions.csv").read_text() == Path("fresh/predictions.csv").read_text()


def test_a_figure_does_not_include_outputs_of_an_interrupted_test(monkeypatch):
    figures = []

    def draw(self, trainer, names, outputs, card=False):
        figures.extend([] if card else [outputs])
        return Figure()

    monkeypatch.setattr(ConfusionMatrixFigure, "draw", draw)
    monkeypatch.setattr("litzoo.callbacks.reporting.classification.publish_figure", lambda *args, **options: None)
    figure, interrupts = ConfusionMatrixFigure(), Interrupts("on_test_batch_end")
    with pytest.raises(RuntimeError, match="interrupted"):
        cpu_trainer(callbacks=[figure, interrupts]).test(softmax(), digits(), verbose=False)
    model = softmax()
    fit(model, max_epochs=5, limit_val_batches=0)
    for callback in (figure, ConfusionMatrixFigure()):
        cpu_trainer(callbacks=[callback]).test(model, digits(), verbose=False)
    again, fresh = figures
    assert torch.equal(again["logits"], fresh["logits"])


def test_an_interrupted_unfreezing_leaves_the_whole_module_trainable():
    torch.manual_seed(0)
    model = CNNClassifier((1, 28, 28), 10, widths=[2, 2])
    interrupted(model, GradualUnfreezing(trained_stages=0), Interrupts("on_train_batch_end"))
    before = copy.deepcopy(model.state_dict())
    fit(model, limit_val_batches=0)
    assert not any(torch.equal(each, before[name]) for name, each in model.state_dict().items() if "weight" in name)


def test_label_statistics_do_not_include_an_interrupted_training():
    finder = NoisyLabelFinder(skip_epochs=0)
    interrupted(softmax(), finder, Interrupts("on_train_batch_end", epoch=1), max_epochs=2)
    fit(softmax(), finder)
    assert finder.statistics.seen["count"][finder.statistics.seen["count"] > 0].tolist() == [1] * 200


def test_a_resumed_epoch_does_not_count_samples_twice():
    finder = NoisyLabelFinder(skip_epochs=0)
    saves = SavesFirstEpoch()
    interrupted(softmax(), finder, saves, Interrupts("on_train_batch_end", epoch=1), max_epochs=2)
    trainer = cpu_trainer(callbacks=[finder], num_sanity_val_steps=0, max_epochs=2)
    trainer.fit(softmax(), digits(), ckpt_path="first.ckpt", weights_only=True)
    assert finder.statistics.seen["count"].max() == 2


def test_scores_of_known_samples_are_those_of_this_validation():
    detector, scores = UnknownClassDetector(MaxLogit()), []
    with pytest.raises(RuntimeError, match="interrupted"):
        open_set_digits.fit(detector, Interrupts("on_validation_batch_end", epoch=1, batch=0))
    for callback in (detector, UnknownClassDetector(MaxLogit())):
        trainer, *_ = open_set_digits.fit(callback, max_epochs=1)
        scores.append(trainer.callback_metrics["val/known/score_std"].item())
    assert scores[0] == scores[1] > 0


@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_a_non_finite_loss_of_an_earlier_training_is_reset(stage):
    stops = FiniteLoss()
    stops._first_bad = torch.tensor(3.0)  # as recorded on a GPU, where not every step is checked
    getattr(cpu_trainer(callbacks=[stops]), stage)(softmax(), datamodule=digits())
    assert stops._first_bad is None


def test_best_weights_of_an_earlier_training_are_reset():
    stops = BestWeightsEarlyStopping(patience=1)
    fit(softmax(), stops, max_epochs=5)
    assert stops.best_score < 2
    model = softmax(optimizer=partial(torch.optim.SGD, lr=0.0))
    before = copy.deepcopy(model.state_dict())
    trainer = fit(model, stops, max_epochs=5)
    assert torch.equal(model.net.head.weight, before["net.head.weight"])
    assert trainer.current_epoch == 2
    assert stops.best_score.item() == pytest.approx(trainer.callback_metrics["val/loss"].item())


@pytest.mark.parametrize("interrupts", [True, False])
def test_a_noise_matrix_is_estimated_from_this_training_alone(interrupts):
    loss, fresh = ForwardCorrection(warm_up=1), ForwardCorrection(warm_up=1)
    noisy = {"data": digits(label_noise=SymmetricNoise(0.5)), "max_epochs": 2}
    if interrupts:
        interrupted(softmax(loss=loss), Interrupts("on_train_batch_end"), **noisy)
    else:
        fit(softmax(loss=loss), **noisy)
    for each in (loss, fresh):
        fit(softmax(loss=each), max_epochs=1, limit_val_batches=0)
    assert torch.equal(loss.matrix, fresh.matrix)
