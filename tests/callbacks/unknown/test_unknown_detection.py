import io

import pytest
import torch

from litzoo.callbacks import Energy, Mahalanobis, MaxLogit, MaxSoftmax, NearestNeighbors, OpenMax
from litzoo.callbacks.unknown.calibration import acceptance_threshold
from litzoo.callbacks.unknown.detection import UnknownDetection, score_signature
from litzoo.callbacks.unknown.scores import Evidence
from tests.callbacks.open_set_digits import alike, conformal
from tests.callbacks.unknown.scores.catalogue import known_samples, some_samples

TRAIN, TARGET, HEAD = known_samples()
VAL = some_samples(HEAD, rows=101, seed=2)


def fitted(detection):
    """Fits and calibrates a detection."""
    detection.fit(TRAIN, TARGET, HEAD)
    detection.calibrate(VAL)
    return detection


def saved(detection):
    """Returns the state of a detection after saving and loading it with `weights_only=True`."""
    file = io.BytesIO()
    torch.save(detection.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def loaded(detection, state):
    detection.load_state_dict(state)
    return detection


def largest_logits(evidence):
    return -evidence.logits.double().max(dim=1).values


@pytest.mark.parametrize("acceptance", [0.5, 0.9, 0.95])
def test_the_threshold_is_the_conformal_one_of_the_calibration_samples(acceptance):
    detection = UnknownDetection(MaxLogit(), acceptance)
    detection.calibrate(VAL)
    assert detection.threshold == pytest.approx(conformal(largest_logits(VAL), acceptance))
    assert detection.known_scores.tolist() == pytest.approx(sorted(largest_logits(VAL).tolist()))


def test_the_acceptance_can_be_changed_afterwards():
    state = saved(fitted(UnknownDetection(MaxLogit(), 0.95)))
    detection = loaded(UnknownDetection(MaxLogit(), 0.6), state)
    assert detection.threshold == pytest.approx(conformal(largest_logits(VAL), 0.6))
    assert detection.threshold < loaded(UnknownDetection(MaxLogit(), 0.95), state).threshold


def test_calibration_does_not_change_a_fixed_threshold():
    detection = UnknownDetection(MaxSoftmax(), threshold=0.2)
    assert detection.threshold == 0.2
    assert detection.missing() == []
    assert fitted(detection).threshold == 0.2
    assert loaded(UnknownDetection(MaxSoftmax(), threshold=0.3), saved(detection)).threshold == 0.3
    calibrated = loaded(UnknownDetection(MaxSoftmax()), saved(detection))
    assert calibrated.threshold == pytest.approx(conformal(MaxSoftmax()(VAL), 0.95))


def test_what_is_missing_is_named():
    detection = UnknownDetection(NearestNeighbors(3), report=[MaxLogit(), Mahalanobis()])
    everything = ["the threshold", "the statistics of NearestNeighbors"]  # reported scores are not required
    assert detection.missing() == everything
    detection.fit(TRAIN, TARGET, HEAD)
    assert detection.missing() == everything[:1]
    detection.calibrate(VAL)
    assert detection.missing() == []
    fixed = UnknownDetection(NearestNeighbors(3), threshold=1.0, report=[Mahalanobis()])
    assert fixed.missing() == everything[1:]
    assert list(fixed.usable) == []


def test_there_is_no_state_before_fitting():
    assert UnknownDetection(MaxLogit()).state_dict() == {}
    assert UnknownDetection(NearestNeighbors(), threshold=0.1).state_dict() == {}


@pytest.mark.parametrize("acceptance", [0.95, 0.5])
def test_the_state_can_be_saved_and_loaded(acceptance):
    def new_detection():
        return UnknownDetection(NearestNeighbors(3), acceptance, report=[MaxLogit(), Mahalanobis(), OpenMax(5)])

    detection = fitted(new_detection())
    again = loaded(new_detection(), saved(detection))
    assert again.missing() == []
    assert again.threshold == detection.threshold
    samples = some_samples(HEAD)
    for name, score in detection.scores.items():
        assert torch.equal(again.scores[name](samples), score(samples))
    first, second = saved(detection), saved(again)
    assert first.keys() == second.keys() == {"score", "known_scores", "statistics"}
    assert alike(first, second)


@pytest.mark.parametrize(
    ("new_detection", "missing", "left_out"),
    [
        (lambda: UnknownDetection(MaxLogit(), report=[NearestNeighbors(3)]), ["the threshold"], []),
        (
            lambda: UnknownDetection(NearestNeighbors(4)),
            ["the threshold", "the statistics of NearestNeighbors"],
            ["NearestNeighbors"],
        ),
        (lambda: UnknownDetection(NearestNeighbors(3), report=[OpenMax(5)]), [], ["OpenMax"]),
        (lambda: UnknownDetection(NearestNeighbors(3), report=[Mahalanobis(0.2)]), [], ["Mahalanobis"]),
        (lambda: UnknownDetection(MaxLogit(), threshold=-4.0), [], []),
        (lambda: UnknownDetection(NearestNeighbors(3)), [], []),
        (lambda: UnknownDetection(NearestNeighbors(3), report=[MaxSoftmax()]), [], []),
    ],
    ids=["other score", "other k", "one more", "other shrinkage", "fixed", "fewer", "one without statistics"],
)
def test_a_state_is_used_only_by_the_same_scores_with_the_same_parameters(new_detection, missing, left_out):
    state = saved(fitted(UnknownDetection(NearestNeighbors(3), report=[Mahalanobis()])))
    detection = loaded(new_detection(), state)
    assert detection.missing() == missing
    assert [name for name in detection.scores if name not in detection.usable] == left_out


def test_other_parameters_of_an_unfitted_score_need_a_new_threshold():
    state = saved(fitted(UnknownDetection(Energy(1.0))))
    assert loaded(UnknownDetection(Energy(2.0)), state).missing() == ["the threshold"]
    assert loaded(UnknownDetection(Energy(1.0)), state).missing() == []


def test_loading_resets_the_previous_state():
    detection = fitted(UnknownDetection(NearestNeighbors(3), report=[OpenMax(5)]))
    detection.load_state_dict({})
    assert len(detection.missing()) == 2
    assert not detection.usable
    assert detection.state_dict() == {}


def test_the_state_does_not_change_with_later_fitting():
    detection = fitted(UnknownDetection(NearestNeighbors(3)))
    state = detection.state_dict()
    before = saved(detection)
    detection.fit(Evidence(TRAIN.logits, TRAIN.features + 1), TARGET, HEAD)
    detection.calibrate(some_samples(HEAD, rows=40, seed=9))
    assert alike(state, before)


def test_flags_are_set_if_they_are_for_any_score():
    plain = UnknownDetection(MaxLogit(), report=[Energy()])
    assert (plain.uses_features, plain.fits) == (False, False)
    assert UnknownDetection(MaxLogit(), report=[OpenMax()]).uses_features is False
    assert UnknownDetection(MaxLogit(), report=[OpenMax()]).fits is True
    assert UnknownDetection(MaxLogit(), report=[Mahalanobis()]).uses_features is True
    assert list(UnknownDetection(MaxLogit(), report=[OpenMax(), Energy()]).scores) == ["MaxLogit", "OpenMax", "Energy"]


def test_signature_of_a_score_has_its_parameters():
    assert score_signature(NearestNeighbors(7)) == "NearestNeighbors(k=7)"
    assert score_signature(OpenMax(5, 2)) == "OpenMax(tail=5, alpha=2)"
    assert score_signature(MaxLogit()) == "MaxLogit()"
    score = fitted(UnknownDetection(NearestNeighbors(7))).score
    assert score_signature(score) == "NearestNeighbors(k=7)"


@pytest.mark.parametrize("acceptance", [0, 1, -0.1, 1.5, 95, float("nan")])
def test_an_acceptance_outside_its_bounds_raises(acceptance):
    with pytest.raises(ValueError, match=rf"UnknownClassDetector\.acceptance: {acceptance} is outside \(0, 1\)"):
        UnknownDetection(MaxLogit(), acceptance)


@pytest.mark.parametrize("report", [[MaxLogit()], [Energy(), Energy(2.0)], [Mahalanobis(), MaxLogit()]])
def test_a_score_given_twice_raises(report):
    with pytest.raises(ValueError, match=r"UnknownClassDetector\.report: a score is listed twice"):
        UnknownDetection(MaxLogit(), report=report)


@pytest.mark.parametrize(("acceptance", "needed"), [(0.95, 19), (0.99, 99)])
def test_too_few_calibration_samples_for_the_acceptance_raise(acceptance, needed):
    enough, few = (some_samples(HEAD, rows=rows) for rows in (needed, needed - 1))
    detection = UnknownDetection(MaxLogit(), acceptance)
    detection.calibrate(enough)
    assert detection.threshold == pytest.approx(largest_logits(enough).max().item())
    with pytest.raises(ValueError, match=rf"{acceptance} cannot be guaranteed with {needed - 1} .* needs {needed}"):
        detection.calibrate(few)


def test_the_threshold_is_computed_once(monkeypatch):
    """It is asked for at every batch, and sorts all calibration scores."""
    calls = []

    def counted(scores, acceptance):
        calls.append(acceptance)
        return acceptance_threshold(scores, acceptance)

    monkeypatch.setattr("litzoo.callbacks.unknown.detection.acceptance_threshold", counted)
    detection = UnknownDetection(MaxLogit(), acceptance=0.9)
    logits = torch.randn(99, 3)
    detection.calibrate(Evidence(logits, None))
    first, *_ = (detection.threshold for _ in range(5))
    assert first == sorted((-logits.max(dim=1).values).tolist())[89]  # the 90th of 99
    assert calls == [0.9]
    detection.acceptance = 0.5
    assert detection.threshold == sorted((-logits.max(dim=1).values).tolist())[49]
    detection.calibrate(Evidence(logits + 1, None))
    assert detection.threshold != first
    assert calls == [0.9, 0.5, 0.5]
