import re
import warnings
from pathlib import Path

import pytest
import torch

from litzoo import Predictor
from litzoo.callbacks import (
    ExponentialMovingAverage,
    FiniteLoss,
    LastCheckpoint,
    MaxSoftmax,
    TemperatureScaling,
    UnknownClassDetector,
    fit_temperature,
    fit_temperature_and_bias,
)
from litzoo.callbacks.calibration.temperature_scaling import draw_reliability
from litzoo.lit_modules import CNNClassifier, LabelSmoothing, MLPClassifier
from litzoo.lit_modules.metrics import CalibrationError
from tests.callbacks.open_set_digits import BEST, LAST, conformal, digits, evidence, fit, module_in, perceptron
from tests.training import cpu_trainer


def calibrated(**options):
    return perceptron(**{"calibrate": "temperature", "loss": LabelSmoothing(0.3), **options})


class Favouring(torch.nn.Module):
    """Cross-entropy whose best logits are too large by 4 for the third class, as by a weight of exp(4)."""

    def forward(self, logits, target):
        """Returns the mean loss."""
        return torch.nn.functional.cross_entropy(logits - 4 * (torch.arange(7) == 2), target)


def weights_in(path):
    return torch.load(path, weights_only=True)["state_dict"]


def test_each_checkpoint_has_the_temperature_of_its_own_weights():
    _, model, data = fit(TemperatureScaling(), model=calibrated())
    temperatures = {}
    for path in (BEST, LAST):
        module = module_in(path)
        known, target = evidence(module, data, "val")
        temperatures[path] = float(module.temperature)
        assert temperatures[path] == pytest.approx(fit_temperature(known.logits, target).temperature, rel=1e-4)
    assert temperatures[BEST] != temperatures[LAST]
    assert min(temperatures.values()) > 0
    assert float(model.temperature) == temperatures[LAST]  # the module has its own weights again
    assert "TemperatureScaling" not in torch.load(LAST, weights_only=True)["callbacks"]


def test_only_tests_and_predictions_are_calibrated():
    fit(TemperatureScaling(), model=calibrated())
    module, data = module_in(BEST), digits()
    logits = evidence(module, data, "test")[0].logits
    expected = logits / module.temperature
    trainer = cpu_trainer(callbacks=[TemperatureScaling()])
    batches = trainer.predict(module, data)
    torch.testing.assert_close(torch.cat([batch["logits"] for batch in batches]), expected)
    confidence = expected.softmax(dim=1).max(dim=1).values
    torch.testing.assert_close(torch.cat([batch["confidence"] for batch in batches]), confidence)
    (validated,) = trainer.validate(module, data, verbose=False)
    known, target = evidence(module, data, "val")
    assert validated["val/loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(known.logits, target)))
    found = Predictor.load(BEST, device="cpu")(data.test_set.inputs)
    torch.testing.assert_close(found.confidence, confidence)
    assert torch.equal(found.prediction, logits.argmax(dim=1))


def test_a_test_reports_calibration_before_and_after_and_draws_it():
    fit(TemperatureScaling(), model=calibrated())
    (metrics,) = cpu_trainer(callbacks=[TemperatureScaling()]).test(module_in(BEST), digits(), verbose=False)
    plain = module_in(BEST)
    assert metrics["test/temperature"] == pytest.approx(float(plain.temperature))
    plain.temperature.fill_(1)
    with pytest.warns(UserWarning, match="temperature of this checkpoint was not fitted"):
        (before,) = cpu_trainer().test(plain, digits(), verbose=False)
    assert metrics["test/ece_uncalibrated"] == pytest.approx(before["test/ece"], abs=1e-6)
    assert metrics["test/ece"] < before["test/ece"] / 2  # label smoothing leaves the digits underconfident
    assert metrics["test/adaptive_ece"] < before["test/adaptive_ece"]
    assert metrics["test/acc"] == before["test/acc"]
    assert next(Path("run").rglob("reliability.png")).stat().st_size > 1000


def test_the_detector_calibrates_on_calibrated_logits():
    detector = UnknownClassDetector(MaxSoftmax(), 0.9)
    _, _, data = fit(TemperatureScaling(), detector, model=calibrated())
    for path in (BEST, LAST):
        module = module_in(path)
        confidence = (evidence(module, data, "val")[0].logits / module.temperature).softmax(dim=1).max(dim=1).values
        state = torch.load(path, weights_only=True)["callbacks"]["UnknownClassDetector"]
        assert state["temperature"] == float(module.temperature)
        torch.testing.assert_close(state["known_scores"], (1 - confidence.double()).sort().values, atol=1e-5, rtol=1e-4)
    predictor = Predictor.load(BEST, device="cpu")
    assert predictor.threshold == pytest.approx(
        conformal(torch.load(BEST, weights_only=True)["callbacks"]["UnknownClassDetector"]["known_scores"], 0.9)
    )
    # Without the temperature the threshold would be of other scores.
    plain = MLPClassifier.load_from_checkpoint(BEST, calibrate="none")
    trainer = cpu_trainer(callbacks=[UnknownClassDetector(MaxSoftmax(), 0.9)])
    with pytest.raises(ValueError, match=r"fitted with temperature [\d.]+, but the module has 1, and scores depend"):
        trainer.test(plain, digits(), ckpt_path=BEST, verbose=False)


def test_the_calibration_samples_of_a_detector_are_used():
    detector = UnknownClassDetector(MaxSoftmax(), 0.9, calibration_fraction=0.7)
    _, model, data = fit(TemperatureScaling(), detector, model=calibrated())
    assert len(data.calibration_set) == 56
    assert float(model.temperature) == pytest.approx(_fitted_on(model, data, data.calibration_set), rel=1e-4)


def _fitted_on(model, data, part):
    with torch.no_grad():
        logits = model.eval()(data.normalise(part.inputs[part.indices]))
    return fit_temperature(logits, part.targets[part.indices]).temperature


def test_temperature_and_detector_are_fitted_on_logits_with_flips():
    torch.manual_seed(0)
    model = CNNClassifier((1, 28, 28), 7, widths=[4], class_names=list("1234567"), tta="flip", calibrate="temperature")
    detector = UnknownClassDetector(MaxSoftmax(), 0.9)
    _, model, data = fit(TemperatureScaling(), detector, model=model)
    part = data.val_set
    images = data.normalise(part.inputs[part.indices])
    with torch.no_grad():
        logits = (model.eval()(images) + model(images.flip(3))) / 2
    expected = fit_temperature(logits, part.targets[part.indices]).temperature
    assert float(model.temperature) == pytest.approx(expected, rel=1e-4)
    scores = (1 - (logits / model.temperature).softmax(dim=1).max(dim=1).values).sort().values
    torch.testing.assert_close(detector.detection.known_scores.float(), scores, atol=1e-5, rtol=1e-4)


def test_with_an_average_of_the_weights():
    _, _, data = fit(TemperatureScaling(), ExponentialMovingAverage(0.5), model=calibrated())
    module = module_in(LAST)
    known, target = evidence(module, data, "val")
    assert float(module.temperature) == pytest.approx(fit_temperature(known.logits, target).temperature, rel=1e-3)


def test_training_on_resets_the_temperature():
    fit(TemperatureScaling(), model=calibrated())
    seen = []

    class Watch(TemperatureScaling):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append(float(pl_module.temperature))

    _, model, _ = fit(Watch(), model=calibrated(), ckpt_path=LAST, max_epochs=4)
    assert seen == [1.0]
    assert float(model.temperature) != 1


def test_checkpoints_load_with_and_without_the_option():
    fit(TemperatureScaling(), model=calibrated())
    plain = MLPClassifier.load_from_checkpoint(BEST, calibrate="none")
    assert "temperature" not in plain.state_dict()
    trainer, _, _ = fit(FiniteLoss(), model=perceptron(), default_root_dir="other")
    old = Path("other/checkpoints/last.ckpt")
    assert "temperature" not in weights_in(old)
    loaded = MLPClassifier.load_from_checkpoint(old, calibrate="temperature")
    assert float(loaded.temperature) == 1
    assert trainer.global_step


def test_a_finished_training_can_be_calibrated_later():
    fit(FiniteLoss(), model=perceptron(loss=LabelSmoothing(0.3)))
    fit(TemperatureScaling(), model=calibrated(), ckpt_path=LAST)
    assert float(weights_in(LAST)["temperature"]) != 1


def test_another_adjustment_than_it_was_fitted_with_is_warned_of():
    fit(TemperatureScaling(), model=calibrated())
    with pytest.warns(UserWarning, match=r"was fitted with posthoc_tau 0\.0, but the module has 1\.0"):
        MLPClassifier.load_from_checkpoint(BEST, posthoc_tau=1.0)


def test_weights_shift_probabilities_which_only_a_bias_repairs():
    loss = Favouring()
    with pytest.warns(UserWarning, match=r"wrong for \S+: class 3 has .* give model.calibrate: temperature_and_bias"):
        fit(TemperatureScaling(), model=perceptron(calibrate="temperature", loss=loss))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*leaves probabilities wrong")
        _, _, data = fit(TemperatureScaling(), model=perceptron(calibrate="temperature_and_bias", loss=loss))
    for path in (BEST, LAST):
        module = module_in(path)
        known, target = evidence(module, data, "val")
        found = fit_temperature_and_bias(known.logits, target)
        assert float(module.temperature) == pytest.approx(found.temperature, rel=1e-3)
        torch.testing.assert_close(module.class_bias, found.bias.float(), rtol=1e-2, atol=1e-2)
    assert int(module.class_bias.argmin()) == 2
    assert float(module.class_bias[2]) < float(module.class_bias.mean()) - 2
    expected = evidence(module, data, "test")[0].logits / module.temperature + module.class_bias
    trainer = cpu_trainer(callbacks=[TemperatureScaling()])
    batches = trainer.predict(module, data)
    torch.testing.assert_close(torch.cat([batch["logits"] for batch in batches]), expected)
    answers = Predictor.load(LAST, device="cpu")(data.test_set.inputs)
    assert torch.equal(answers.prediction, expected.argmax(dim=1))
    (tested,) = trainer.test(module, data, verbose=False)
    before = CalibrationError()
    logits, target = evidence(module, data, "test")
    before.update(logits.logits[target >= 0], target[target >= 0])
    assert tested["test/ece_uncalibrated"] == pytest.approx(float(before.compute()), abs=1e-5)


def test_classes_with_few_calibration_samples_are_named():
    match = r"has fewer than 20 calibration samples of 7 of 7 classes: 1 \(\d+\), 2 \(\d+\)"
    with pytest.warns(UserWarning, match=match):
        fit(TemperatureScaling(), model=calibrated(calibrate="temperature_and_bias"))


def test_a_bias_is_left_out_with_a_warning_and_added_as_zeros():
    fit(TemperatureScaling(), model=calibrated(calibrate="temperature_and_bias"))
    with pytest.warns(UserWarning, match=r"was fitted together with a bias for each class"):
        without = type(module_in(LAST)).load_from_checkpoint(LAST, calibrate="temperature")
    assert not hasattr(without, "class_bias")
    assert type(without).load_from_checkpoint(LAST, calibrate="none").calibrate == "none"
    fit(TemperatureScaling(), model=calibrated())
    added = type(without).load_from_checkpoint(LAST, calibrate="temperature_and_bias")
    assert not added.class_bias.any()


def test_detector_and_sets_are_fitted_on_the_logits_with_the_bias():
    model = calibrated(calibrate="temperature_and_bias", loss=Favouring())
    callbacks = [TemperatureScaling(), UnknownClassDetector(MaxSoftmax(), report=[])]
    fit(*callbacks, model=model)
    trainer = cpu_trainer(callbacks=[TemperatureScaling(), UnknownClassDetector(MaxSoftmax(), report=[])])
    trainer.test(module_in(LAST), digits(), ckpt_path=LAST, verbose=False)
    other = module_in(LAST)
    other.class_bias.zero_()
    content = torch.load(LAST, weights_only=True)
    content["state_dict"]["class_bias"] = torch.zeros(7)
    torch.save(content, "other.ckpt")
    with pytest.raises(ValueError, match=r"UnknownClassDetector: fitted with class_bias \["):
        trainer.test(other, digits(), ckpt_path="other.ckpt", verbose=False)


@pytest.mark.parametrize(
    ("callbacks", "model", "data", "error", "message"),
    [
        ([], {"calibrate": "temperature"}, {}, ValueError, "nothing fits the temperature"),
        ([TemperatureScaling()], {}, {}, TypeError, "option calibrate: temperature, which this MLPClassifier has not"),
        ([TemperatureScaling()], {"calibrate": "temperature"}, {"val_size": 0}, ValueError, "data.val_size is 0"),
        ([TemperatureScaling()], {"calibrate": "temperature"}, {"val_size": 30}, ValueError, "30 calibration samples"),
        (
            [UnknownClassDetector(MaxSoftmax()), TemperatureScaling()],
            {"calibrate": "temperature"},
            {},
            ValueError,
            "list it before UnknownClassDetector",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_the_training(callbacks, model, data, error, message):
    trainer = cpu_trainer(callbacks=[*callbacks, LastCheckpoint()], enable_checkpointing=True)
    with pytest.raises(error, match=re.escape(message)):
        trainer.fit(perceptron(**model), digits(**data))
    assert not LAST.exists()


def test_an_option_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="calibrate: 'platt' is none of none, temperature, temperature_and_bias"):
        perceptron(calibrate="platt")


def test_a_model_worse_than_chance_is_refused_and_its_checkpoints_stay():
    class Worse(TemperatureScaling):
        def on_fit_end(self, trainer, pl_module):
            pl_module.net.head.weight.data.mul_(-1)
            super().on_fit_end(trainer, pl_module)

    with pytest.raises(ValueError, match="temperature: it exceeds 100"):
        fit(Worse(), model=calibrated())
    assert float(weights_in(LAST)["temperature"]) == 1


def test_the_figure_says_how_many_samples_a_bin_has_and_shows_dots_at_the_edges_whole():
    confident = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.5, 0.0], [0.45, 0.0]])
    target = torch.tensor([0, 0, 1, 1])
    figure = draw_reliability(confident, confident / 2, target, "temperature 2", bins=5)
    before, after, *below = figure.axes
    assert [bar.get_height() for bar in below[0].patches] == [0, 0, 0, 2, 2]  # confidences 0.61 and 1
    (dots,) = [line for line in before.lines if line.get_marker() == "o"]
    assert list(dots.get_ydata()) == [0, 1]
    assert not dots.get_clip_on()
    assert after.get_title().startswith("after, temperature 2")
