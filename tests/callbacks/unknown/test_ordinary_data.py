"""Unknown-class detection where no class is unknown, small classes, and a part of validation for calibration only."""

import json
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import MaxLogit, MaxSoftmax, NearestNeighbors, RunSummary, SplitSummary, UnknownClassDetector
from litzoo.callbacks.unknown import UnknownDetection
from litzoo.callbacks.unknown.metrics import known_rates, open_set_scores
from litzoo.callbacks.unknown.scores import Evidence
from tests.callbacks.open_set_digits import (
    BEST,
    LAST,
    conformal,
    digits,
    evidence,
    fit,
    module_in,
    perceptron,
    state_in,
)
from tests.training import cpu_trainer


def all_known(**options):
    return digits(**{"known_classes": None, **options})


def ten_classes():
    return perceptron(num_classes=10, class_names=list("0123456789"))


def test_it_calibrates_and_reports_what_can_be_known(capsys):
    detector = UnknownClassDetector(MaxLogit(), count=2)
    trainer, model, data = fit(detector, RunSummary(), model=ten_classes(), datamodule=all_known())
    (found,) = trainer.test(model, data, verbose=False)
    known, target = evidence(model, data, "test")
    scores, threshold = MaxLogit()(known), detector.detection.threshold
    val, _ = evidence(model, data, "val")
    assert threshold == conformal(MaxLogit()(val))
    accepted = scores <= threshold
    assert found["test/known/accepted"] == pytest.approx(float(accepted.double().mean()))
    right = accepted & (known.logits.argmax(dim=1) == target)
    assert found["test/known/acc"] == pytest.approx(float(right.double().mean()))
    assert found["test/unknown/threshold"] == pytest.approx(threshold)
    assert {name for name in found if "unknown" in name} == {"test/unknown/threshold"}
    assert Path("run/figures/unknown_scores.png").is_file()
    assert Path("run/figures/unknown_gallery.png").is_file()
    assert "No test sample is of an unknown class" in capsys.readouterr().out


def test_known_rates_are_those_of_the_open_set_scores():
    torch.manual_seed(0)
    scores, prediction = torch.rand(50), torch.randint(3, (50,))
    target = torch.randint(-1, 3, (50,))
    every = open_set_scores(scores, prediction, target, 0.6, "abc")
    for name, value in known_rates(scores, prediction, target, 0.6).items():
        assert value == pytest.approx(every[name])


class Reversed(MaxLogit):
    def __call__(self, known: Evidence):
        return -super().__call__(known)


def test_a_score_worse_than_chance_is_remarked_on(capsys):
    trainer, model, data = fit(UnknownClassDetector(Reversed(), count=1), RunSummary())
    (found,) = trainer.test(model, data, verbose=False)
    assert found["test/unknown/auroc"] < 0.5
    text = capsys.readouterr().out
    assert f"Reversed is worse than chance here: AUROC {found['test/unknown/auroc']:.3f}, below 0.5" in text
    trainer, model, data = fit(UnknownClassDetector(MaxLogit(), count=1), RunSummary())
    trainer.test(model, data, verbose=False)
    assert "worse than chance" not in capsys.readouterr().out


def test_a_reported_score_worse_than_chance_is_remarked_on(capsys):
    trainer, model, data = fit(UnknownClassDetector(MaxLogit(), report=[MaxSoftmax(), Reversed()]), RunSummary())
    (found,) = trainer.test(model, data, verbose=False)
    area = found["test/unknown/auroc/Reversed"]
    assert f"worse than chance here: Reversed (AUROC {area:.3f})." in capsys.readouterr().out


def test_few_unknown_samples_say_little_about_a_score(capsys):
    trainer, model, data = fit(UnknownClassDetector(Reversed(), count=1), RunSummary())
    data.setup("test")
    unknown = (data.test_set.targets == -1).nonzero()[:, 0]
    data.test_set = data.test_set.subset(torch.isin(torch.arange(359), unknown[1:]).logical_not())
    (found,) = trainer.test(model, data, verbose=False)
    assert found["test/unknown/auroc"] < 0.5
    assert "worse than chance" not in capsys.readouterr().out


def samples(*counts):
    """Logits, features and classes of samples, `counts` of each class."""
    target = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.one_hot(target, 8).float() + torch.randn(len(target), 8, generator=generator) / 4
    return Evidence(features[:, : len(counts)], features), target


@pytest.mark.parametrize(("counts", "k"), [((400, 300), 50), ((400, 100), 25), ((400, 7), 1), ((9, 2), 1)])
def test_the_default_neighbour_follows_the_smallest_class(counts, k):
    known, target = samples(*counts)
    chosen, given = NearestNeighbors(), NearestNeighbors(k)
    for score in (chosen, given):
        score.fit(known, target)
    assert int(chosen.statistics["k"]) == k
    assert torch.equal(chosen(known), given(known))
    again = NearestNeighbors()
    again.load_state_dict(chosen.state_dict())
    assert torch.equal(again(known), chosen(known))


def test_few_samples_and_a_large_k_are_warned_of(recwarn):
    UnknownDetection(NearestNeighbors()).fit(*samples(100, 60))
    assert not recwarn
    with pytest.warns(UserWarning, match=r"the smallest class has only 38 training samples.*MaxLogit"):
        UnknownDetection(NearestNeighbors()).fit(*samples(100, 38))
    with pytest.warns(
        UserWarning, match=r"NearestNeighbors\.k: 50 is more than a quarter of the smallest class.*at most 9"
    ):
        UnknownDetection(NearestNeighbors(50)).fit(*samples(100, 38))


def calibrated_on(model, data, part):
    data.setup("fit")
    chosen = getattr(data, f"{part}_set")
    with torch.no_grad():
        logits = model.eval()(data.normalise(chosen.inputs[chosen.indices]))
    return conformal(MaxLogit()(Evidence(logits, logits)))


def test_a_part_of_validation_only_calibrates():
    data = digits()
    detector = UnknownClassDetector(MaxLogit(), count=1, calibration_fraction=0.25)
    trainer, _, _ = fit(detector, SplitSummary(), datamodule=data)
    whole = set(data.split.val.tolist())
    kept, reserved = data.val_set.indices.tolist(), data.calibration_set.indices.tolist()
    assert (len(kept), len(reserved)) == (60, 20)
    assert set(kept) | set(reserved) == whole
    assert not set(kept) & set(reserved)
    for path in (BEST, LAST):
        detector.load_state_dict(state_in(path))
        assert detector.detection.threshold == calibrated_on(module_in(path), data, "calibration")
    assert json.loads(Path("run/splits.json").read_text())["calibration"] == {"of_val": 20}
    # `litzoo validate` gives the metrics that chose the epoch.
    again = cpu_trainer(callbacks=[UnknownClassDetector(MaxLogit(), calibration_fraction=0.25)])
    (validated,) = again.validate(module_in(BEST), digits(), ckpt_path=BEST, verbose=False)
    assert validated["val/loss"] == pytest.approx(float(trainer.checkpoint_callback.best_model_score))


def test_what_calibrates_does_not_choose_the_epoch():
    seen = []

    class Spy(UnknownClassDetector):
        def on_validation_batch_end(self, trainer, pl_module, outputs, *others):
            super().on_validation_batch_end(trainer, pl_module, outputs, *others)
            seen.extend(outputs["index"].tolist())

    data = digits()
    fit(Spy(MaxLogit(), count=1, calibration_fraction=0.5), datamodule=data)
    assert set(seen) == set(data.val_set.indices.tolist())
    assert not set(seen) & set(data.calibration_set.indices.tolist())


@pytest.mark.parametrize(("val_size", "fraction", "expected"), [(80, None, 0), (80, 0, 0), (80, 0.5, 40)])
def test_by_default_few_validation_samples_do_both(val_size, fraction, expected):
    data = digits(val_size=val_size)
    fit(UnknownClassDetector(MaxLogit(), count=1, calibration_fraction=fraction), datamodule=data, max_epochs=1)
    reserved = 0 if data.calibration_set is None else len(data.calibration_set)
    assert (len(data.val_set), reserved) == (val_size - expected, expected)


def test_by_default_a_half_of_a_thousand_validation_samples_calibrates(monkeypatch):
    monkeypatch.setattr("litzoo.callbacks.calibration.part.STRICT_FROM", 80)
    data = digits()
    fit(UnknownClassDetector(MaxLogit(), count=1), datamodule=data, max_epochs=1)
    assert (len(data.val_set), len(data.calibration_set)) == (40, 40)
    # A fixed threshold needs no calibration.
    fit(UnknownClassDetector(MaxSoftmax(), threshold=0.2, count=1), datamodule=(fixed := digits()), max_epochs=1)
    assert fixed.calibration_set is None


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(
        ValueError, match=rf"UnknownClassDetector\.calibration_fraction: {fraction} is outside \[0, 1\)"
    ):
        UnknownClassDetector(MaxLogit(), calibration_fraction=fraction)


def test_too_few_calibration_samples_are_refused_before_training():
    with pytest.raises(ValueError, match="8 calibration samples; it needs 19"):
        fit(UnknownClassDetector(MaxLogit(), calibration_fraction=0.1))
    assert not Path("run").exists()


def test_the_detection_alone_predicts_on_tensors():
    known, target = samples(200, 150, 100)
    detection = UnknownDetection(NearestNeighbors()).fit(known, target)
    with pytest.raises(RuntimeError, match=r"the threshold still missing: call fit .* calibrate"):
        detection.predict(known)
    detection.calibrate(samples(50, 50, 50)[0])
    far = Evidence(torch.zeros(4, 3), -torch.ones(4, 8))
    scores, prediction = detection.predict(far)
    assert prediction.tolist() == [-1] * 4
    assert (scores > detection.threshold).all()
    assert (detection.predict(known)[1] == target).double().mean() > 0.8
