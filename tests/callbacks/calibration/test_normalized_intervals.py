import re
from math import ceil
from pathlib import Path

import pandas
import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from litzoo import Predictor
from litzoo.callbacks import (
    BestCheckpoint,
    ConformalIntervals,
    LastCheckpoint,
    PredictionIntervals,
    PredictionSets,
    ResidualDifficulty,
)
from litzoo.datamodules import CSVRegressionDataModule, DiabetesDataModule
from litzoo.lit_modules import Regressor
from tests.training import cpu_trainer

BEST, LAST = Path("run/checkpoints/best.ckpt"), Path("run/checkpoints/last.ckpt")


def drawn(n, seed=0):
    """Returns features `[n, 3]`, predictions and targets; the noise is exp(x) times as strong, x being the first."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    prediction = features[:, 1] * 5
    return features, prediction, prediction + features[:, 0].exp() * torch.randn(n, generator=generator).double()


def fitted(n=2000, seed=9):
    features, prediction, target = drawn(n, seed)
    return ResidualDifficulty().fit(features, target - prediction)


def test_the_difficulty_is_the_mean_absolute_residual():
    features, *_ = drawn(1000)
    expected = features[:, 0].clamp(-2, 2).exp() * (2 / torch.pi) ** 0.5  # the mean of |z|, z being normal
    ratio = fitted(20_000)(features).double() / expected
    assert ((ratio > 0.8) & (ratio < 1.25)).double().mean() > 0.95
    inside = features[:, 0].abs() < 2
    assert float(ratio[inside].log().abs().mean()) < 0.03


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_mixed_precision_does_not_change_the_difficulty(precision):
    difficulty, features = fitted(), drawn(500)[0]
    with torch.autocast("cpu", precision):
        found = difficulty(features)
    assert torch.equal(found, difficulty(features))


def test_features_that_say_nothing_leave_all_samples_equally_difficult():
    generator = torch.Generator().manual_seed(0)
    features, residuals = torch.randn(40, 200, generator=generator), torch.randn(40, generator=generator)
    found = ResidualDifficulty().fit(features, residuals)(torch.randn(500, 200, generator=generator))
    assert float(found.max() / found.min()) < 1.1
    torch.testing.assert_close(found.mean(), residuals.abs().mean(), rtol=0.1, atol=0)
    constant = ResidualDifficulty().fit(torch.ones(40, 2), residuals)(torch.ones(3, 2))
    torch.testing.assert_close(constant, residuals.abs().mean().expand(3))


def test_a_new_sample_is_not_more_difficult_than_all_those_fitted():
    features, prediction, target = drawn(2000, 9)
    difficulty = ResidualDifficulty().fit(features, target - prediction)
    known = difficulty(features)
    far = difficulty(torch.tensor([[50.0, 0, 0], [-50.0, 0, 0]]))
    torch.testing.assert_close(far, torch.stack([known.max(), known.min()]))


@pytest.mark.parametrize("coverage", [0.9, 0.95])
def test_the_coverage_holds_in_a_simulation(coverage):
    """Over many calibrations with 39 samples each, the mean coverage is that of theory: k / (n + 1)."""
    features, prediction, target = drawn(40 * 2000)
    difficulty, covered = fitted(100), 0.0
    for rows in torch.arange(len(target)).reshape(-1, 40):
        known, new = rows[:39], rows[39:]
        rule = ConformalIntervals(coverage, difficulty).fit(prediction[known], target[known], features[known])
        covered += rule.evaluate(prediction[new], target[new], features[new])["interval_coverage"]
    expected = ceil(40 * coverage) / 40
    assert covered / 2000 == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 2000) ** 0.5)


def test_intervals_are_narrower_and_cover_easy_and_hard_samples_alike():
    difficulty = fitted()
    known, prediction, target = drawn(2000, 1)
    features, *tested = drawn(30_000, 2)
    plain = ConformalIntervals(0.9).fit(prediction, target)
    normalized = ConformalIntervals(0.9, difficulty).fit(prediction, target, known)
    widths = [plain.evaluate(*tested)["interval_width"], normalized.evaluate(*tested, features)["interval_width"]]
    assert widths[1] < 0.93 * widths[0]  # in theory 1.645 · exp(1 / 2) of 3.05: 0.89
    thirds = features[:, 0].argsort().tensor_split(3)
    of_plain = [plain.evaluate(*(each[third] for each in tested))["interval_coverage"] for third in thirds]
    of_normalized = [
        normalized.evaluate(*(each[third] for each in (*tested, features)))["interval_coverage"] for third in thirds
    ]
    assert of_plain[0] > 0.99
    assert of_plain[2] < 0.8
    assert of_normalized == pytest.approx([0.9, 0.9, 0.9], abs=0.03)


def test_what_cannot_be_fitted_is_refused_with_the_numbers():
    features, prediction, target = drawn(50)
    with pytest.raises(ValueError, match="all 50 residuals are 0, so that no sample is more difficult"):
        ResidualDifficulty().fit(features, target * 0)
    with pytest.raises(ValueError, match="the difficulty is fitted on 9 samples, but needs 10"):
        ResidualDifficulty().fit(features[:9], target[:9])
    with pytest.raises(ValueError, match=r"features \[50, 3\] and residuals \[49\]; give \[N, D\] and \[N\]"):
        ResidualDifficulty().fit(features, target[1:])
    broken = features.clone()
    broken[[3, 4], 0] = torch.nan
    with pytest.raises(ValueError, match="of 2 of 50 samples are not finite"):
        ResidualDifficulty().fit(broken, target)
    difficulty = fitted(100)
    with pytest.raises(ValueError, match="2 features, but fitted on 3; fit anew"):
        difficulty(features[:, :2])
    with pytest.raises(RuntimeError, match="nothing was fitted"):
        ResidualDifficulty()(features)
    intervals = ConformalIntervals(0.9, difficulty)
    with pytest.raises(ValueError, match=r"need features; give \[N, D\] for predictions \[50\], not none"):
        intervals.fit(prediction, target)
    with pytest.raises(ValueError, match=r"0\.9 needs 9 calibration samples, but 3"):
        intervals.fit(prediction[:3], target[:3], features[:3])
    with pytest.raises(ValueError, match="the difficulty of 2 of 50 samples is 0, negative or not finite"):
        intervals.fit(prediction, target, broken)
    zero = {**difficulty.state_dict(), "high": torch.tensor(-1000.0)}  # exp(-1000) is 0
    difficulty.load_state_dict(zero)
    with pytest.raises(ValueError, match="the difficulty of 50 of 50 samples is 0"):
        intervals.fit(prediction, target, features)


def test_state_is_restored_with_the_difficulty_and_not_without():
    features, prediction, target = drawn(100)
    rule = ConformalIntervals(0.9, fitted(100)).fit(prediction, target, features)
    plain, same = ConformalIntervals(0.8), ConformalIntervals(0.8, ResidualDifficulty())
    same.load_state_dict(rule.state_dict())
    same.coverage = 0.9
    assert torch.equal(same.predict(prediction, features)["lower"], rule.predict(prediction, features)["lower"])
    plain.load_state_dict(rule.state_dict())
    assert plain.scores is None
    state = plain.fit(prediction, target).state_dict()
    same.load_state_dict(state)
    assert same.scores is None
    assert same.difficulty.statistics == {}
    del state["normalized"]  # as in older checkpoints
    plain.load_state_dict({})
    plain.load_state_dict(state)
    assert plain.scores is not None


def trained(callback, data, model):
    torch.manual_seed(0)
    callbacks = [callback, BestCheckpoint(monitor="val/loss"), LastCheckpoint()]
    cpu_trainer(callbacks=callbacks, max_epochs=3, enable_checkpointing=True).fit(model, data)


@pytest.mark.parametrize("reserved", [False, True])
def test_each_checkpoint_gets_a_difficulty_and_a_calibration_on_separate_samples(reserved):
    data = DiabetesDataModule(val_size=80, batch_size=32)
    data.setup("fit")
    trained(PredictionIntervals(0.9, 0.6 if reserved else None, True), data, Regressor((10,), 150.0, 77.0, hidden=[16]))
    validation, calibrating = data.val_set, data.calibration_set
    for path in (BEST, LAST):
        module = Regressor.load_from_checkpoint(path).eval()
        module.keeps_features = True

        def outputs_of(part, module=module):
            batch = {"input": part.inputs[part.indices], "index": part.indices}
            with torch.no_grad():
                found = module.predict_step(batch, 0)
            return found["features"], found["prediction"], part.targets[part.indices]

        if reserved:
            assert (len(validation), len(calibrating)) == (32, 48)
            fitting, calibration = outputs_of(validation), outputs_of(calibrating)
        else:
            order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
            everything = outputs_of(validation)
            fitting, calibration = ([each[rows] for each in everything] for rows in (order[:40], order[40:]))
        features, prediction, target = fitting
        difficulty = ResidualDifficulty().fit(features, target - prediction)
        features, prediction, target = calibration
        expected = ConformalIntervals(0.9, difficulty).fit(prediction, target, features)
        state = torch.load(path, weights_only=True)["callbacks"]["PredictionIntervals"]
        torch.testing.assert_close(state["scores"], expected.scores, rtol=1e-3, atol=1e-4)
        trainer = cpu_trainer(callbacks=[PredictionIntervals(0.9, normalized=True)])
        (metrics,) = trainer.test(Regressor.load_from_checkpoint(path), data, ckpt_path=path, verbose=False)
        features, prediction, target = outputs_of(data.test_set)
        for name, value in expected.evaluate(prediction, target, features).items():
            assert metrics[f"test/{name}"] == pytest.approx(value, rel=1e-3)
        assert metrics["test/interval_coverage"] > 0.7
    trainer = cpu_trainer(callbacks=[PredictionIntervals(0.9)])
    with pytest.raises(ValueError, match="the checkpoint lacks its calibration, which a training with"):
        trainer.test(module, data, ckpt_path=LAST, verbose=False)


def test_predictions_are_those_of_the_predictor(tiny_data):
    options = {"root": str(tiny_data), "file": "california_housing.csv", "target": "median_house_value"}
    data = CSVRegressionDataModule(**options, val_size=40, batch_size=16)
    data.setup("fit")
    shape, mean, std = data.input_shape, data.target_mean, data.target_std
    trained(PredictionIntervals(0.9, normalized=True), data, Regressor(shape, mean, std, hidden=[8], dropout=0.2))
    rows = pandas.read_csv(tiny_data / "california_housing.csv", dtype=str).iloc[data.rows_of("test")]
    found = Predictor.load(LAST, device="cpu")(rows)
    trainer = cpu_trainer(callbacks=[PredictionIntervals(0.9, normalized=True)])
    batches = trainer.predict(Regressor.load_from_checkpoint(LAST), data, ckpt_path=LAST)
    for name in ("prediction", "lower", "upper"):
        torch.testing.assert_close(torch.cat([batch[name] for batch in batches]), getattr(found, name))
    widths = found.upper - found.lower
    assert float(widths.min()) > 0


class Plain(LightningModule):
    """A module that knows nothing of litzoo."""

    def __init__(self, keeps=True):
        super().__init__()
        self.body, self.head, self.keeps = nn.Linear(2, 4), nn.Linear(4, 1), keeps

    def step(self, batch, batch_idx):
        features = self.body(batch[0])
        prediction = self.head(features).squeeze(1)
        loss = nn.functional.mse_loss(prediction, batch[1])
        return {"loss": loss, "prediction": prediction, **({"features": features} if self.keeps else {})}

    training_step = validation_step = test_step = predict_step = step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def loader(n):
    features, _, target = drawn(n)
    return DataLoader(TensorDataset(features[:, :2].float(), target.float()), batch_size=16)


def test_a_module_and_loaders_of_ones_own():
    callback, module = PredictionIntervals(0.9, normalized=True), Plain()
    trainer = cpu_trainer(callbacks=[callback])
    trainer.fit(module, loader(64), loader(101))
    assert len(callback.intervals.scores) == 51
    (metrics,) = trainer.test(module, loader(300), verbose=False)
    assert 0.7 < metrics["test/interval_coverage"] <= 1
    (batch, *_) = trainer.predict(module, loader(16))
    assert ((batch["upper"] - batch["lower"]) / 2 / callback.intervals.margin).std() > 0
    with pytest.raises(TypeError, match=r"Plain\.predict_step, which returns loss, prediction; it needs .*features"):
        cpu_trainer(callbacks=[PredictionIntervals(0.9, normalized=True)]).fit(Plain(False), loader(64), loader(100))


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        ({}, 19, "the difficulty is fitted on 9 samples, a half of 19, since the others calibrate, but needs 10"),
        ({"coverage": 0.95}, 36, "0.95 needs 19 calibration samples, but 18 calibration samples promise at most 0.947"),
        ({"coverage": 0.95}, 36, "or leave normalized out, to calibrate on all 36"),
        ({"calibration_fraction": 0.9}, 80, "the difficulty is fitted on 8 samples, but needs 10"),
    ],
)
def test_too_few_samples_are_refused_before_the_training(options, size, message):
    callbacks = [PredictionIntervals(**options, normalized=True), LastCheckpoint()]
    trainer = cpu_trainer(callbacks=callbacks, enable_checkpointing=True)
    with pytest.raises(ValueError, match=re.escape(message)):
        trainer.fit(Regressor((10,), 150.0, 77.0, hidden=[16]), DiabetesDataModule(val_size=size, batch_size=32))
    assert not LAST.exists()


def test_networks_without_features_are_refused():
    model = Regressor((10,), 150.0, 77.0)
    model.net = nn.Linear(10, 1)
    with pytest.raises(TypeError, match=r"normalized: reads features, but Linear has no features\(x\)"):
        cpu_trainer(callbacks=[PredictionIntervals(normalized=True)]).fit(model, DiabetesDataModule(val_size=80))
    with pytest.raises(TypeError, match="PredictionSets predicts sets of classes"):
        cpu_trainer(callbacks=[PredictionSets()]).fit(model, DiabetesDataModule(val_size=80))
