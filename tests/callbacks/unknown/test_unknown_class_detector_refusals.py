from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import (
    Mahalanobis,
    MaxLogit,
    MaxSoftmax,
    NearestNeighbors,
    OpenMax,
    PredictionsCSV,
    UnknownClassDetector,
    ViM,
)
from litzoo.datamodules import DiabetesDataModule, DigitsDataModule
from litzoo.lit_modules import Classifier, Regressor, SoftmaxRegression
from tests.callbacks.open_set_digits import BEST, LAST, digits, fit, metrics_of, perceptron, state_in
from tests.callbacks.scripted import Scripted
from tests.training import cpu_trainer


@pytest.mark.parametrize("acceptance", [0, 1, 1.2, -0.5, 95])
def test_an_acceptance_outside_its_bounds_raises(acceptance):
    with pytest.raises(ValueError, match=rf"UnknownClassDetector\.acceptance: {acceptance} is outside \(0, 1\); 0\.95"):
        UnknownClassDetector(MaxLogit(), acceptance)


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_1_raises(count):
    with pytest.raises(ValueError, match=rf"UnknownClassDetector\.count: {count} images; give at least 1"):
        UnknownClassDetector(MaxLogit(), count=count)


def test_a_score_given_twice_raises():
    with pytest.raises(ValueError, match=r"UnknownClassDetector\.report: .*twice"):
        UnknownClassDetector(MaxLogit(), report=[MaxSoftmax(), MaxLogit()])


def test_another_data_set_can_be_the_unknown_classes():
    datamodule = DigitsDataModule(train_size=100, unknowns=DigitsDataModule())
    trainer = cpu_trainer(callbacks=[UnknownClassDetector(MaxLogit(), count=1)])
    model = SoftmaxRegression((1, 28, 28), 10)
    trainer.fit(model, datamodule)
    found = trainer.test(model, datamodule, verbose=False)[0]
    assert found["test/unknown/auroc"] == pytest.approx(0.5)  # the images are the same
    assert found["test/unknown/found"] == pytest.approx(1 - found["test/known/accepted"])


def test_no_validation_samples_raise():
    with pytest.raises(ValueError, match=r"data\.val_size is 0: set it, or give a fixed threshold"):
        fit(UnknownClassDetector(MaxLogit()), datamodule=digits(val_size=0))


def test_too_few_validation_samples_raise_before_training():
    with pytest.raises(ValueError, match=r"18 calibration samples; it needs 19"):
        fit(UnknownClassDetector(MaxLogit()), datamodule=digits(val_size=18))
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("model", "datamodule"),
    [
        (lambda: Regressor((10,)), DiabetesDataModule),
        (Scripted, DigitsDataModule),
        (lambda: SoftmaxRegression((10,), 3), DiabetesDataModule),
    ],
    ids=["regressor", "no classifier", "table"],
)
def test_modules_and_data_without_classes_raise(model, datamodule):
    with pytest.raises(
        TypeError, match=r"UnknownClassDetector .*(choose a classifier|needs a classifier and a datamodule)"
    ):
        fit(UnknownClassDetector(MaxLogit()), model=model(), datamodule=datamodule())


@pytest.mark.parametrize("stage", ["test", "predict"])
@pytest.mark.parametrize("saved", [True, False])
def test_a_checkpoint_without_the_state_raises(stage, saved):
    model, datamodule = perceptron(), digits()
    if saved:
        fit(UnknownClassDetector(MaxLogit()), model=model, datamodule=datamodule)
    detector = UnknownClassDetector(NearestNeighbors(5), report=[MaxLogit()])
    trainer = cpu_trainer(callbacks=[detector])
    missing = "the threshold and the statistics of NearestNeighbors"
    with pytest.raises(ValueError, match=f"the checkpoint lacks {missing}, .*`litzoo fit --ckpt_path last`"):
        getattr(trainer, stage)(model, datamodule=datamodule, ckpt_path=BEST if saved else None)


def test_a_reported_score_without_state_in_the_checkpoint_is_left_out():
    fit(UnknownClassDetector(MaxLogit(), count=1))
    detector = UnknownClassDetector(MaxLogit(), report=[NearestNeighbors(5), ViM(), MaxSoftmax()], count=1)
    with pytest.warns(UserWarning, match="NearestNeighbors, ViM left out, because the checkpoint has no statistics"):
        found = metrics_of(detector, digits(), BEST)
    reported = {name.rsplit("/", 1)[1] for name in found if name.startswith("test/unknown/auroc/")}
    assert reported == {"MaxLogit", "MaxSoftmax"}


def test_a_reported_score_that_cannot_be_fitted_is_left_out():
    detector = UnknownClassDetector(MaxLogit(), report=[NearestNeighbors(5000), Mahalanobis(0.1)], count=1)
    with pytest.warns(
        UserWarning, match=r"report: NearestNeighbors is left out\. NearestNeighbors\.k: 5000 neighbours"
    ):
        fit(detector)
    assert list(detector.detection.usable) == ["MaxLogit", "Mahalanobis"]
    assert list(state_in(BEST)["statistics"]) == ["Mahalanobis(shrinkage=0.1)"]
    with pytest.raises(ValueError, match=r"NearestNeighbors\.k: 5000 neighbours"):
        fit(UnknownClassDetector(NearestNeighbors(5000)))


@pytest.mark.parametrize("stage", ["test", "predict"])
def test_another_posthoc_tau_than_at_the_calibration_raises(stage):
    fit(UnknownClassDetector(MaxLogit(), count=1))
    model = perceptron(posthoc_tau=1.0)
    trainer = cpu_trainer(callbacks=[UnknownClassDetector(MaxLogit(), count=1)])
    with pytest.raises(ValueError, match=r"fitted with posthoc_tau 0, but the module has 1, .* fit again"):
        getattr(trainer, stage)(model, datamodule=digits(), ckpt_path=BEST)
    fit(UnknownClassDetector(MaxLogit(), count=1), model=model, ckpt_path=LAST)
    assert getattr(trainer, stage)(model, datamodule=digits(), ckpt_path=BEST)


@pytest.mark.parametrize(
    ("score", "options", "refused"),
    [
        (lambda: OpenMax(2), {"threshold": 0.2}, True),
        (MaxSoftmax, {"threshold": 0.2, "report": [OpenMax(2)]}, True),
        (MaxSoftmax, {"threshold": 0.2}, False),
        (MaxSoftmax, {}, True),
    ],
    ids=["fitted", "fitted report", "fixed", "calibrated"],
)
def test_another_posthoc_tau_raises_only_if_something_was_fitted(score, options, refused):
    fit(UnknownClassDetector(score(), count=1, **options))
    trainer = cpu_trainer(callbacks=[UnknownClassDetector(score(), count=1, **options)])
    outcome = pytest.raises(ValueError, match="fitted with posthoc_tau 0") if refused else nullcontext()
    with outcome:
        trainer.test(perceptron(posthoc_tau=1.0), digits(), ckpt_path=BEST, verbose=False)


def test_a_network_without_features_raises_for_scores_that_read_them():
    class Plain(Classifier):
        def __init__(self):
            super().__init__(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 7)), 7)

    fit(UnknownClassDetector(MaxLogit(), count=1), model=Plain(), max_epochs=1)
    with pytest.raises(TypeError, match=r"a score reads features, but Sequential has no features.* MaxLogit"):
        fit(UnknownClassDetector(MaxLogit(), report=[NearestNeighbors(5)]), model=Plain())


def test_predictions_csv_before_the_detector_raises():
    fit(UnknownClassDetector(MaxLogit()))
    trainer = cpu_trainer(callbacks=[PredictionsCSV(), UnknownClassDetector(MaxLogit())])
    with pytest.raises(ValueError, match="list it before PredictionsCSV"):
        trainer.predict(perceptron(), digits(), ckpt_path=BEST)


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_that_is_not_finite_raises(threshold):
    with pytest.raises(ValueError, match=rf"UnknownClassDetector\.threshold: {threshold} is not a finite number"):
        UnknownClassDetector(MaxLogit(), threshold=threshold)


def test_a_test_needs_no_validation_samples():
    fit(UnknownClassDetector(MaxLogit(), count=1))
    trainer = cpu_trainer(callbacks=[UnknownClassDetector(MaxLogit(), count=1)])
    without = digits(val_size=0, train_size=None)
    content = torch.load(BEST, weights_only=True)
    del content["DigitsDataModule"]  # the record of the split
    torch.save(content, "mine.ckpt")
    assert "test/unknown/auroc" in trainer.test(perceptron(), without, ckpt_path="mine.ckpt", verbose=False)[0]
