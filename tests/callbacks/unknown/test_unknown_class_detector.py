import pytest
import torch
from sklearn.metrics import roc_auc_score

from litzoo.callbacks import Mahalanobis, MaxLogit, MaxSoftmax, NearestNeighbors, UnknownClassDetector, ViM
from litzoo.callbacks.unknown.metrics import open_set_scores
from tests.callbacks.open_set_digits import (
    BEST,
    KNOWN,
    LAST,
    conformal,
    digits,
    evidence,
    fit,
    metrics_of,
    module_in,
    perceptron,
    state_in,
)
from tests.training import cpu_trainer

NAMES = [str(label) for label in KNOWN]


def detector():
    return UnknownClassDetector(NearestNeighbors(5), report=[MaxLogit(), Mahalanobis(0.1), ViM()], count=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns the folder of the checkpoints of a training with `MaxLogit`."""
    folder = tmp_path_factory.mktemp("trained")
    fit(UnknownClassDetector(MaxLogit()), default_root_dir=folder)
    return folder / "checkpoints"


def fitted_by_hand(model, datamodule):
    """Fits the scores of `detector()` without a callback; returns their detection and its validation scores."""
    known, target = evidence(model, datamodule, "train")
    by_hand = detector().detection
    for score in by_hand.scores.values():
        score.fit(known, target, model.net.head)
    return by_hand, by_hand.score(evidence(model, datamodule, "val")[0])


@pytest.mark.parametrize("augment", ["none", "strong"])
def test_each_checkpoint_has_the_state_of_its_own_weights(augment):
    _, _, datamodule = fit(detector(), datamodule=digits(augment=augment))
    expected = {}
    for path in (BEST, LAST):
        state, by_hand = state_in(path), fitted_by_hand(module_in(path), datamodule)
        expected[path] = by_hand[1].sort().values
        assert state["score"] == "NearestNeighbors(k=5)"
        torch.testing.assert_close(state["known_scores"], expected[path])
        for name, statistics in state["statistics"].items():
            score = by_hand[0].scores[name.split("(")[0]]
            assert len(statistics) == len(score.statistics) > 0
            for key, values in score.state_dict().items():
                torch.testing.assert_close(statistics[key], values, rtol=1e-4, atol=1e-5)
    assert len(state_in(BEST)["statistics"]) == 3
    assert (expected[BEST] - expected[LAST]).abs().max() > 1e-3  # the weights differ, and so do the scores


def test_after_training_the_detector_is_fitted_to_the_final_weights():
    callback = detector()
    _, model, datamodule = fit(callback)
    torch.testing.assert_close(callback.detection.known_scores, fitted_by_hand(model, datamodule)[1].sort().values)


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
@pytest.mark.parametrize("acceptance", [0.95, 0.7])
def test_metrics_are_those_of_the_scores_of_the_logits(name, acceptance, trained):
    datamodule, model = digits(), module_in(trained / name)
    found = metrics_of(UnknownClassDetector(MaxLogit(), acceptance, count=1), datamodule, trained / name)
    assert "test/unknown/auroc/MaxLogit" not in found
    threshold = conformal(-evidence(model, datamodule, "val")[0].logits.double().max(dim=1).values, acceptance)
    known, target = evidence(model, datamodule, "test")
    values, prediction = (-known.logits.double()).min(dim=1).values, known.logits.argmax(dim=1)
    labels = datamodule.read(train=False)[1]
    new = [str(label) for label in labels.tolist() if label not in KNOWN]
    expected = open_set_scores(values, prediction, target, threshold, NAMES, new)
    assert found["test/unknown/threshold"] == pytest.approx(threshold)
    assert {name: found[f"test/{name}"] for name in expected} == pytest.approx(expected)
    # Independently of litzoo's metrics:
    unknown, right = ~torch.isin(labels, torch.tensor(KNOWN)), torch.tensor(KNOWN)[prediction] == labels
    assert found["test/unknown/auroc"] == pytest.approx(roc_auc_score(unknown, values))
    rejected = values > threshold
    assert found["test/known/accepted"] == pytest.approx((~rejected[~unknown]).double().mean().item())
    assert found["test/known/acc"] == pytest.approx((~rejected & right)[~unknown].double().mean().item())
    assert found["test/acc"] == pytest.approx(right[~unknown].double().mean().item())
    for label in (0, 8, 9):
        fraction = rejected[labels == label].double().mean().item()
        assert found[f"test/unknown/found/{label}"] == pytest.approx(fraction)


def test_further_scores_are_reported():
    fit(detector())
    datamodule, model = digits(), module_in(BEST)
    found = metrics_of(detector(), datamodule, BEST)
    by_hand, calibration = fitted_by_hand(model, datamodule)
    known, target = evidence(model, datamodule, "test")
    expected = {name: roc_auc_score(target < 0, score(known)) for name, score in by_hand.scores.items()}
    prefix = "test/unknown/auroc/"
    reported = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    assert reported == pytest.approx(expected, rel=1e-4)
    assert len(set(reported.values())) == 4
    assert found["test/unknown/auroc"] == reported["NearestNeighbors"]
    assert found["test/unknown/threshold"] == pytest.approx(conformal(calibration))


def test_a_fixed_threshold_of_max_softmax_is_one_minus_the_confidence():
    fit(UnknownClassDetector(MaxSoftmax(), threshold=0.2, count=1))
    datamodule, model = digits(), module_in(BEST)
    found = metrics_of(UnknownClassDetector(MaxSoftmax(), threshold=0.2, count=1), datamodule, BEST)
    known, target = evidence(model, datamodule, "test")
    not_confident = known.logits.softmax(dim=1).max(dim=1).values < 0.8
    assert found["test/unknown/found"] == pytest.approx(not_confident[target < 0].double().mean().item())
    assert found["test/known/accepted"] == pytest.approx((~not_confident)[target >= 0].double().mean().item())


def test_a_fixed_threshold_needs_no_validation_samples():
    fit(UnknownClassDetector(MaxSoftmax(), threshold=0.2, count=1), datamodule=digits(val_size=0))
    state = state_in(LAST)
    assert (state["known_scores"], state["statistics"]) == (None, {})
    assert state["rule"] == {"score": "MaxSoftmax", "options": {}, "acceptance": 0.95, "threshold": 0.2}
    found = metrics_of(UnknownClassDetector(MaxSoftmax(), threshold=0.2, count=1), digits(val_size=0), LAST)
    assert found["test/unknown/threshold"] == pytest.approx(0.2)
    fit(UnknownClassDetector(NearestNeighbors(5), threshold=0.2, count=1), datamodule=digits(val_size=0))
    assert list(state_in(LAST)["statistics"]) == ["NearestNeighbors(k=5)"]
    metrics_of(UnknownClassDetector(NearestNeighbors(5), threshold=0.2, count=1), digits(val_size=0), LAST)


def test_without_known_samples_only_the_other_metrics_are_logged():
    first = int(digits().read(train=False)[1][0])
    datamodule = digits(known_classes=[label for label in range(10) if label != first][:6], eval_batch_size=1)
    model = perceptron(class_names=datamodule.class_names, num_classes=datamodule.num_classes)
    trainer = cpu_trainer(callbacks=[UnknownClassDetector(MaxSoftmax(), threshold=0.2, count=1)], limit_test_batches=1)
    with pytest.warns(UserWarning, match="all 1 test samples are of unknown classes"):
        (found,) = trainer.test(model, datamodule, verbose=False)
    assert "test/acc" not in found
    assert not [name for name in found if "known" in name]


def test_a_second_test_does_not_include_the_samples_of_the_first():
    trainer, model, datamodule = fit(UnknownClassDetector(MaxLogit(), count=1))
    (first,), (second,) = (trainer.test(model, datamodule, verbose=False) for _ in range(2))
    assert first == second
