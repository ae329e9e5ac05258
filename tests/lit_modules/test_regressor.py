from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from torch import nn

from litzoo.datamodules import DiabetesDataModule
from litzoo.lit_modules import Regressor
from tests.training import cpu_trainer


def regressor(datamodule, **options):
    return Regressor(datamodule.input_shape, datamodule.target_mean, datamodule.target_std, **options)


def rows(dataset):
    return dataset.inputs[dataset.indices], dataset.targets[dataset.indices]


def test_losses_are_in_standard_units_and_errors_in_units_of_the_target():
    datamodule, trainer = DiabetesDataModule(eval_batch_size=30), cpu_trainer()
    model = regressor(datamodule, loss=nn.L1Loss(), optimizer=partial(torch.optim.SGD, lr=0.0))
    trainer.fit(model, datamodule)
    mean, std = rows(datamodule.train_set)[1].double().numpy().mean(), rows(datamodule.train_set)[1].double().std()

    def outputs(part):
        inputs, targets = rows(part)
        return model.net(inputs).squeeze(1).double().detach().numpy(), targets.double().numpy()

    train, train_targets = outputs(datamodule.train_set)
    val, val_targets = outputs(datamodule.val_set)
    expected = {
        "train/loss": np.abs(train - (train_targets - mean) / float(std)).mean(),
        "val/loss": mean_squared_error((val_targets - mean) / float(std), val),
        "val/mae": mean_absolute_error(val_targets, val * float(std) + mean),
        "val/rmse": np.sqrt(mean_squared_error(val_targets, val * float(std) + mean)),
        "val/r2": r2_score(val_targets, val * float(std) + mean),
    }
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert metrics == pytest.approx(expected, rel=1e-4)


def test_tests_and_predictions_return_the_input_of_the_last_layer_if_asked_for():
    datamodule = DiabetesDataModule()
    datamodule.setup("fit")
    model = regressor(datamodule, dropout=0.5).eval()
    inputs, targets = rows(datamodule.val_set)
    batch = {"input": inputs, "target": targets, "index": torch.arange(len(inputs))}
    plain = [model.step(batch, "test"), model.predict_step(batch, 0)]
    model.keeps_features = True
    for before, outputs in zip(plain, [model.step(batch, "test"), model.predict_step(batch, 0)], strict=True):
        features = outputs.pop("features")
        assert not features.requires_grad
        standard = model.net.head(features).squeeze(1)
        torch.testing.assert_close(outputs["prediction"], standard * model.target_std + model.target_mean)
        assert outputs.keys() == before.keys()
        torch.testing.assert_close(outputs["prediction"], before["prediction"])
    assert model.step(batch, "train").keys() == plain[0].keys()


def test_always_predicting_the_mean_has_a_loss_of_one_on_the_training_set():
    datamodule = DiabetesDataModule()
    model = regressor(datamodule, hidden=())
    nn.init.zeros_(model.net.head.weight)
    nn.init.zeros_(model.net.head.bias)
    datamodule.setup("fit")
    datamodule.test_set = datamodule.train_set
    (scores,) = cpu_trainer().test(model, datamodule, verbose=False)
    assert scores["test/loss"] == pytest.approx(1, rel=0.01)
    assert scores["test/r2"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("noise_free", [True, False])
def test_without_hidden_layers_training_ends_at_least_squares(noise_free):
    datamodule = DiabetesDataModule(batch_size=1000)
    datamodule.setup("fit")
    if noise_free:
        datamodule.train_set.targets.copy_(datamodule.train_set.inputs @ torch.linspace(-30, 30, 10) + 150)
    model = regressor(datamodule, hidden=(), optimizer=partial(torch.optim.LBFGS, line_search_fn="strong_wolfe"))
    cpu_trainer(max_epochs=10, limit_val_batches=0).fit(model, datamodule)
    exact = LinearRegression().fit(*rows(datamodule.train_set))
    (batch,) = cpu_trainer().predict(model, datamodule)
    assert batch["prediction"].numpy() == pytest.approx(exact.predict(rows(datamodule.test_set)[0]), abs=0.5)
    if noise_free:
        assert batch["prediction"].numpy() == pytest.approx(
            (rows(datamodule.test_set)[0] @ torch.linspace(-30, 30, 10) + 150).numpy(), abs=0.5
        )


def test_it_learns():
    datamodule, trainer = DiabetesDataModule(batch_size=32), cpu_trainer(max_epochs=10)
    trainer.fit(regressor(datamodule), datamodule)
    assert trainer.callback_metrics["val/r2"] > 0.2


def test_a_validation_set_of_one_row_works():
    trainer, datamodule = cpu_trainer(), DiabetesDataModule(val_size=1)
    model = regressor(datamodule)
    trainer.fit(model, datamodule)
    inputs, targets = rows(datamodule.val_set)
    (prediction,) = (model(inputs).squeeze(1) * model.target_std + model.target_mean).tolist()
    assert trainer.callback_metrics["val/mae"].item() == pytest.approx(abs(prediction - targets.item()), rel=1e-4)


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_targets_that_do_not_vary_are_refused(std):
    with pytest.raises(ValueError, match="leave nothing to predict"):
        Regressor((5,), 1.0, std)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_a_precision_that_would_round_the_targets_is_refused(precision):
    datamodule = DiabetesDataModule()
    with pytest.raises(ValueError, match=rf"trainer\.precision: {precision} would round the targets; use 32-true"):
        cpu_trainer(precision=precision).fit(regressor(datamodule), datamodule)
