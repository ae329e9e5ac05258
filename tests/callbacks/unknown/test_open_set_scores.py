import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from litzoo.callbacks.unknown.metrics import aupr, auroc, false_positive_rate, open_set_scores, oscr
from litzoo.datamodules import UNKNOWN

NAMES = ["one", "two", "three"]
# Two samples of each known class, and four unknown samples, of which three are classified as unknown.
SCORES = torch.tensor([0.1, 0.6, 0.2, 0.5, 0.3, 0.4, 0.9, 0.8, 0.5, 0.7])
PREDICTION = torch.tensor([0, 0, 1, 2, 2, 2, 0, 1, 2, 0])
TARGET = torch.tensor([0, 0, 1, 1, 2, 2, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN])
UNKNOWN_NAMES = ["eight", "t/nine", "eight", "t/nine"]


def test_by_hand():
    scores = open_set_scores(SCORES, PREDICTION, TARGET, 0.5, NAMES, UNKNOWN_NAMES)
    # By class: 1 true positive of 2; 1 of 2; 2 of 2 and 2 false positives; 3 of 4 and 1 false positive.
    f1 = [2 / 3, 2 / 3, 2 * 2 / (2 * 2 + 2), 2 * 3 / (2 * 3 + 1 + 1)]
    assert scores == pytest.approx(
        {
            "unknown/auroc": auroc(SCORES, TARGET < 0),
            "unknown/aupr_unknown_positive": aupr(SCORES, TARGET < 0),
            "unknown/fpr95_known_positive": false_positive_rate(SCORES, TARGET < 0),
            "unknown/fpr95_unknown_positive": false_positive_rate(-SCORES, TARGET >= 0),
            "unknown/oscr": oscr(SCORES, PREDICTION, TARGET),
            "unknown/found": 3 / 4,
            "known/accepted": 5 / 6,
            "known/acc": 4 / 6,
            "open_set_f1": sum(f1) / 4,
            "unknown/found/eight": 1 / 2,
            "unknown/found/t-nine": 1.0,
        }
    )
    assert all(type(value) is float for value in scores.values())


def test_without_names_there_are_no_metrics_by_unknown_class():
    named, unnamed = (open_set_scores(SCORES, PREDICTION, TARGET, 0.5, NAMES, names) for names in (UNKNOWN_NAMES, ()))
    assert named.items() - unnamed.items() == {("unknown/found/eight", 0.5), ("unknown/found/t-nine", 1.0)}


@pytest.mark.parametrize("seed", range(4))
def test_random_predictions_with_ties(seed):
    random = np.random.RandomState(seed)
    target = np.where(random.rand(200) < 0.3, UNKNOWN, random.randint(3, size=200))
    prediction, scores = random.randint(3, size=200), random.randint(5, size=200)
    metrics = open_set_scores(*map(torch.from_numpy, (scores, prediction, target)), 2, NAMES)
    decision, truth = np.where(scores > 2, 3, prediction), np.where(target < 0, 3, target)
    assert metrics["open_set_f1"] == pytest.approx(f1_score(truth, decision, average="macro"))
    assert metrics["unknown/found"] == pytest.approx((decision == 3)[truth == 3].mean())
    assert metrics["known/accepted"] == pytest.approx((decision < 3)[truth < 3].mean())
    assert metrics["known/acc"] == pytest.approx((decision == truth)[truth < 3].mean())


@pytest.mark.parametrize(
    ("threshold", "found", "accepted", "right"),
    [(-float("inf"), 1, 0, 0), (0.9, 0, 1, 5 / 6), (float("inf"), 0, 1, 5 / 6)],
)
def test_thresholds_beyond_all_scores(threshold, found, accepted, right):
    metrics = open_set_scores(SCORES, PREDICTION, TARGET, threshold, NAMES)
    assert (metrics["unknown/found"], metrics["known/accepted"], metrics["known/acc"]) == pytest.approx(
        (found, accepted, right)
    )


def test_a_class_without_targets_and_predictions_is_left_out_of_f1():
    few = open_set_scores(SCORES, PREDICTION, TARGET, 0.5, NAMES)["open_set_f1"]
    assert open_set_scores(SCORES, PREDICTION, TARGET, 0.5, [*NAMES, "four"])["open_set_f1"] == pytest.approx(few)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threshold": float("nan")}, "threshold: it is NaN"),
        ({"unknown_names": ["eight"]}, "unknown_names: 1 names for 4 unknown samples"),
        ({"target": TARGET.clamp(min=0)}, "10 known and 0 unknown samples"),
        ({"target": torch.full((10,), UNKNOWN)}, "0 known and 10 unknown samples"),
        ({"prediction": PREDICTION[:, None]}, r"prediction \[10, 1\] and target \[10\]"),
        ({"scores": SCORES[:, None]}, r"scores \[10, 1\]"),
    ],
)
def test_invalid_arguments_raise(changed, message):
    given = {"scores": SCORES, "prediction": PREDICTION, "target": TARGET, "threshold": 0.5, "class_names": NAMES}
    with pytest.raises(ValueError, match=message):
        open_set_scores(**{**given, **changed})
