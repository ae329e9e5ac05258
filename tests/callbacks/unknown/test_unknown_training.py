"""What the detector logs during training, and that it has no side effects on the training."""

from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

from litzoo.callbacks import Energy, Mahalanobis, MaxLogit, NearestNeighbors, OpenMax, UnknownClassDetector, ViM
from litzoo.callbacks.unknown.calibration import accepted_fraction
from litzoo.lit_modules import CNNClassifier, CoTeachingClassifier
from tests.callbacks.open_set_digits import (
    BEST,
    LAST,
    alike,
    conformal,
    digits,
    evidence,
    fit,
    module_in,
    perceptron,
    state_in,
)


def test_training_logs_the_scores_of_validation_samples():
    detector = UnknownClassDetector(MaxLogit(), 0.8)
    trainer, model, datamodule = fit(detector)
    values = -evidence(model, datamodule, "val")[0].logits.double().max(dim=1).values
    found = trainer.callback_metrics
    assert found["val/known/score_std"].item() == pytest.approx(values.std(correction=0).item(), rel=1e-5)
    threshold = conformal(values[::2], 0.8)
    assert found["val/known/accepted"].item() == pytest.approx((values[1::2] <= threshold).double().mean().item())
    assert 0 < found["val/known/accepted"] < 1


@pytest.mark.parametrize(
    ("values", "acceptance", "threshold", "fraction"),
    [
        (
            [3.0, 1.0, 1.0, 2.0, 2.0, 9.0],
            0.75,
            None,
            2 / 3,
        ),  # threshold: 3rd smallest of 3, 1, 2; accepts 1, 2 of 1, 2, 9
        ([3.0, 1.0, 1.0, 2.0, 2.0, 9.0], 0.5, None, 2 / 3),  # threshold: 2nd smallest
        ([3.0, 1.0, 1.0, 2.0, 2.0, 9.0], 0.95, None, None),
        ([3.0, 1.0, 1.0, 2.0, 2.0, 9.0], 0.95, 2.0, 4 / 6),
        ([3.0], 0.5, None, None),
    ],
)
def test_accepted_fraction_by_hand(values, acceptance, threshold, fraction):
    assert accepted_fraction(torch.tensor(values), acceptance, threshold) == (fraction and pytest.approx(fraction))


@pytest.mark.parametrize("score", [NearestNeighbors(5), OpenMax(2)])
def test_a_score_that_is_fitted_at_the_end_is_not_logged_before(score):
    trainer, _, _ = fit(UnknownClassDetector(score, report=[ViM()]))
    assert not [name for name in trainer.callback_metrics if "known" in name]


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_the_first_score_that_needs_no_fitting_is_logged(threshold):
    detector = UnknownClassDetector(NearestNeighbors(5), 0.8, threshold, report=[ViM(), MaxLogit(), Energy()])
    trainer, model, datamodule = fit(detector)
    values = -evidence(model, datamodule, "val")[0].logits.double().max(dim=1).values
    assert trainer.callback_metrics["val/known/score_std"].item() == pytest.approx(values.std(correction=0).item())
    fraction = (values[1::2] <= conformal(values[::2], 0.8)).double().mean().item()
    assert trainer.callback_metrics["val/known/accepted"].item() == pytest.approx(fraction)


def detector():
    return UnknownClassDetector(NearestNeighbors(5), report=[MaxLogit(), Mahalanobis(0.1)])


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_weights_training_modes_and_random_state_are_restored():
    model, before = perceptron(batch_norm=True, dropout=0.5), {}

    class Checks(UnknownClassDetector):
        def on_fit_end(self, trainer, pl_module):
            pl_module.net.head.eval()  # another mode than the module, as for a frozen layer
            before.update(weights=weights_of(pl_module), random=torch.get_rng_state())
            before["modes"] = [part.training for part in pl_module.modules()]
            super().on_fit_end(trainer, pl_module)
            assert [part.training for part in pl_module.modules()] == before["modes"]
            assert torch.equal(torch.get_rng_state(), before["random"])

        @property
        def state_key(self):
            return "UnknownClassDetector"

    detector = Checks(MaxLogit(), report=[Mahalanobis(0.1)])
    _, _, datamodule = fit(detector, model=model, datamodule=digits(augment="strong"))
    assert set(before["modes"]) == {True, False}
    after = weights_of(model)
    assert all(torch.equal(values, before["weights"][name]) for name, values in after.items())
    for path in (BEST, LAST):
        saved = module_in(path)
        expected = -evidence(saved, datamodule, "val")[0].logits.double().max(dim=1).values
        torch.testing.assert_close(state_in(path)["known_scores"], expected.sort().values)


def test_training_is_the_same_as_without_the_detector():
    fit(UnknownClassDetector(MaxLogit(), report=[NearestNeighbors(5)]), default_root_dir="with")
    fit(DoesNothing(), default_root_dir="without")
    first, second = (torch.load(f"{name}/checkpoints/last.ckpt", weights_only=True) for name in ("with", "without"))
    assert all(torch.equal(values, second["state_dict"][name]) for name, values in first["state_dict"].items())


class DoesNothing(UnknownClassDetector):
    def __init__(self):
        super().__init__(MaxLogit())

    def setup(self, trainer, pl_module, stage): ...
    def on_validation_batch_end(self, *_): ...
    def on_validation_epoch_end(self, *_): ...
    def on_fit_end(self, *_): ...


@pytest.mark.parametrize(
    "model",
    [
        lambda: CNNClassifier((1, 28, 28), 7, widths=[4], channels_last=True),
        lambda: CNNClassifier((1, 28, 28), 7, widths=[4], posthoc_tau=1.0),
        lambda: CoTeachingClassifier(forget_rate=0.2, input_shape=(1, 28, 28), num_classes=7, widths=[4, 4]),
    ],
    ids=["channels last", "adjusted", "pair"],
)
def test_it_works_with_any_classifier(model):
    detector = UnknownClassDetector(ViM(), report=[MaxLogit(), NearestNeighbors(5)], count=1)
    trainer, module, datamodule = fit(detector, model=model(), max_epochs=1)
    (found,) = trainer.test(module, datamodule, verbose=False)
    with torch.no_grad():
        logits = module.eval().features_and_logits(datamodule.normalise(datamodule.test_set.inputs))[1]
    unknown = datamodule.test_set.targets < 0
    assert found["test/unknown/auroc/MaxLogit"] == pytest.approx(roc_auc_score(unknown, -logits.max(dim=1).values))


def test_a_second_training_with_the_same_detector_is_like_the_first():
    same = detector()
    fit(same, datamodule=digits(seed=1))
    fit(same, default_root_dir="again")
    fit(detector(), default_root_dir="new")
    again, new = (state_in(Path(name, "checkpoints", "best.ckpt")) for name in ("again", "new"))
    assert alike(again, new)
