import csv
import re
import warnings
from pathlib import Path

import pytest
import torch

from litzoo import Predictor
from litzoo.callbacks import (
    BestCheckpoint,
    ConformalSets,
    LastCheckpoint,
    MaxLogit,
    PredictionIntervals,
    PredictionsCSV,
    PredictionSets,
    TemperatureScaling,
    UnknownClassDetector,
)
from litzoo.datamodules import DiabetesDataModule
from litzoo.lit_modules import Regressor
from tests.callbacks.open_set_digits import BEST, LAST, digits, evidence, fit, module_in, perceptron
from tests.training import cpu_trainer

CLOSED = list(range(10))


def closed(**options):
    return digits(**{"known_classes": CLOSED, **options})


def ten(**options):
    return perceptron(num_classes=10, class_names=list("0123456789"), **options)


def rows():
    with Path("run/predictions.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_each_checkpoint_is_calibrated_with_its_own_weights(method):
    _, _, data = fit(PredictionSets(0.9, method), datamodule=closed(), model=ten())
    for path in (BEST, LAST):
        module = module_in(path)
        known, target = evidence(module, data, "val")
        expected = ConformalSets(0.9, method).fit(known.logits, target)
        state = torch.load(path, weights_only=True)["callbacks"]["PredictionSets"]
        torch.testing.assert_close(state["scores"], expected.scores, atol=1e-5, rtol=1e-4)
        test, truth = evidence(module, data, "test")
        callback = PredictionSets(0.9, method)
        (metrics,) = cpu_trainer(callbacks=[callback]).test(module, data, ckpt_path=path, verbose=False)
        for name, value in expected.evaluate(test.logits, truth).items():
            assert metrics[f"test/{name}"] == pytest.approx(value, abs=0.01)
        assert metrics["test/set_coverage"] > 0.8
        assert 1 <= metrics["test/set_size"] < 10
        assert "with 80 calibration samples, " in callback.remarks[0]


def test_sets_are_in_predictions_and_in_the_predictor():
    _, _, data = fit(PredictionSets(0.8), datamodule=closed(), model=ten())
    module = module_in(BEST)
    trainer = cpu_trainer(callbacks=[PredictionSets(0.8), PredictionsCSV()])
    batches = trainer.predict(module, data, ckpt_path=BEST)
    sets = torch.cat([batch["prediction_set"] for batch in batches])
    assert sets.dtype == torch.bool
    assert sets.shape == (359, 10)
    cells = [row["prediction_set"] for row in rows()]
    assert cells == ["|".join(str(label) for label in range(10) if row[label]) for row in sets.tolist()]
    assert all(row["class_name"] in row["prediction_set"].split("|") for row in rows())
    found = Predictor.load(BEST, device="cpu", batch_size=50)(data.test_set.inputs)
    assert torch.equal(found.prediction_set, sets)
    assert found.coverage == 0.8
    assert found.columns()["prediction_set"] == cells
    assert ["|".join(names) for names in found.set_names] == cells


def test_sets_of_calibrated_logits_and_beside_a_detector():
    detector = UnknownClassDetector(MaxLogit(), 0.9, calibration_fraction=0.7)
    model = perceptron(calibrate="temperature")
    _, model, data = fit(TemperatureScaling(), detector, PredictionSets(0.9, "aps"), model=model)
    assert len(data.calibration_set) == 56
    part = data.calibration_set
    with torch.no_grad():
        logits = model.eval()(data.normalise(part.inputs[part.indices])) / model.temperature
    expected = ConformalSets(0.9, "aps").fit(logits, part.targets[part.indices])
    state = torch.load(LAST, weights_only=True)["callbacks"]["PredictionSets"]
    torch.testing.assert_close(state["scores"], expected.scores, atol=1e-5, rtol=1e-4)
    callbacks = [UnknownClassDetector(MaxLogit(), 0.9), PredictionSets(0.9, "aps")]
    (metrics,) = cpu_trainer(callbacks=callbacks).test(module_in(LAST), digits(), ckpt_path=LAST, verbose=False)
    assert 0.7 < metrics["test/set_coverage"] <= 1  # of the known samples; unknown ones are in no set


def test_the_coverage_may_be_changed_for_a_test_but_the_method_may_not():
    _, _, data = fit(PredictionSets(0.8), datamodule=closed(), model=ten())
    sizes = []
    for coverage in (0.8, 0.95):
        trainer = cpu_trainer(callbacks=[PredictionSets(coverage)])
        (metrics,) = trainer.test(module_in(BEST), data, ckpt_path=BEST, verbose=False)
        sizes.append(metrics["test/set_size"])
    assert sizes[0] < sizes[1]
    trainer = cpu_trainer(callbacks=[PredictionSets(0.8, "aps")])
    with pytest.raises(ValueError, match="the checkpoint lacks its calibration"):
        trainer.test(module_in(BEST), data, ckpt_path=BEST, verbose=False)
    trainer = cpu_trainer(callbacks=[PredictionSets(0.999)])
    with pytest.raises(ValueError, match=r"0\.999 needs 999 calibration samples, but 80"):
        trainer.test(module_in(BEST), data, ckpt_path=BEST, verbose=False)
    module = module_in(BEST)
    module.posthoc_tau = 1.0
    with pytest.raises(ValueError, match=r"fitted with posthoc_tau 0, but the module has 1, .* fit again"):
        cpu_trainer(callbacks=[PredictionSets(0.8)]).test(module, data, ckpt_path=BEST, verbose=False)


@pytest.mark.parametrize(
    ("callbacks", "data", "error", "message"),
    [
        ([PredictionSets(0.99)], {}, ValueError, "0.99 needs 99 calibration samples, but 80 calibration samples"),
        ([PredictionSets(0.9, per_class=True)], {}, ValueError, "needs 9 calibration samples of each class, but 8"),
        ([PredictionSets()], {"val_size": 0}, ValueError, "data.val_size is 0"),
        ([PredictionIntervals()], {}, TypeError, "a MLPClassifier predicts classes: use PredictionSets"),
        (
            [PredictionSets(calibration_fraction=0.5), UnknownClassDetector(MaxLogit())],
            {},
            ValueError,
            "UnknownClassDetector calibrates on the same samples; give the fraction to it",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_the_training(callbacks, data, error, message):
    trainer = cpu_trainer(callbacks=[*callbacks, LastCheckpoint()], enable_checkpointing=True)
    with pytest.raises(error, match=re.escape(message)):
        trainer.fit(ten(), closed(**data))
    assert not LAST.exists()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"coverage: 1\.5 is outside"):
        PredictionSets(1.5)
    with pytest.raises(ValueError, match=r"PredictionIntervals\.calibration_fraction: 1 is outside \[0, 1\)"):
        PredictionIntervals(calibration_fraction=1)
    trainer = cpu_trainer(callbacks=[PredictionsCSV(), PredictionSets()])
    with pytest.raises(ValueError, match="PredictionSets: list it before PredictionsCSV"):
        trainer.predict(ten(), closed())


def test_intervals_of_a_regressor():
    torch.manual_seed(0)
    data = DiabetesDataModule(val_size=80, batch_size=32)
    data.setup("fit")
    model = Regressor((10,), 150.0, 77.0, hidden=[16])
    callbacks = [PredictionIntervals(0.9), BestCheckpoint(monitor="val/loss"), LastCheckpoint()]
    cpu_trainer(callbacks=callbacks, max_epochs=5, enable_checkpointing=True).fit(model, data)
    module = Regressor.load_from_checkpoint(BEST).eval()
    part = data.val_set
    with torch.no_grad():
        prediction = module.predict_step({"input": part.inputs[part.indices], "index": part.indices}, 0)["prediction"]
    residuals = (prediction - part.targets[part.indices]).abs()
    margin = float(residuals.sort().values[72])  # ⌈81 · 0.9⌉ = 73
    trainer = cpu_trainer(callbacks=[PredictionIntervals(0.9), PredictionsCSV()])
    (metrics,) = trainer.test(module, data, ckpt_path=BEST, verbose=False)
    assert metrics["test/interval_width"] == pytest.approx(2 * margin, rel=1e-4)
    assert 0.75 < metrics["test/interval_coverage"] <= 1
    (batch, *_) = trainer.predict(module, data, ckpt_path=BEST)
    torch.testing.assert_close(batch["upper"] - batch["prediction"], torch.full_like(batch["upper"], margin))
    assert float(rows()[0]["lower"]) == pytest.approx(float(batch["lower"][0]), rel=1e-5)
    with pytest.raises(TypeError, match="PredictionSets predicts sets of classes, but Regressor has no class_names"):
        cpu_trainer(callbacks=[PredictionSets()]).fit(model, data)


def test_another_coverage_in_a_test_is_said_and_logged():
    _, _, data = fit(PredictionSets(0.8), datamodule=closed(), model=ten())
    found = []
    for coverage in (0.8, 0.95):
        trainer = cpu_trainer(callbacks=[PredictionSets(coverage)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (metrics,) = trainer.test(module_in(BEST), data, ckpt_path=BEST, verbose=False)
        assert metrics["test/set_coverage_asked"] == pytest.approx(coverage)
        found.append([str(each.message) for each in caught if "is asked" in str(each.message)])
    assert found[0] == []
    assert found[1][0].startswith("PredictionSets.coverage: 0.95 is asked, not the 0.8 of the training, which metrics")
