import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from litzoo.callbacks.unknown.metrics import aupr, auroc, auroc_deviation, false_positive_rate, oscr
from litzoo.datamodules import UNKNOWN

NAN, INF = float("nan"), float("inf")
# Number of distinct values of random scores: with few values there are many ties.
values = pytest.mark.parametrize("values", [1, 2, 5, 40, 10**6])


def random_case(values, rows=150, classes=4, seed=0):
    """Returns scores, predictions and targets."""
    random = np.random.RandomState(seed + values)
    target = np.where(random.rand(rows) < 0.4, UNKNOWN, random.randint(classes, size=rows))
    prediction = np.where(random.rand(rows) < 0.7, target.clip(0), random.randint(classes, size=rows))
    scores = random.randint(values, size=rows) / values + 0.3 * (target == UNKNOWN).round()
    scores = np.round(scores * values) / values  # so that known and unknown samples have values in common
    return torch.from_numpy(scores), torch.from_numpy(prediction), torch.from_numpy(target)


def pairs(scores, unknown):
    """Yields the scores of all pairs of a known and an unknown sample."""
    for known in scores[~unknown].tolist():
        for other in scores[unknown].tolist():
            yield known, other


def curve(scores, prediction, target):
    """Returns by threshold the fractions of unknown samples accepted, and of known ones accepted and correct."""
    unknown, points = target < 0, [(0.0, 0.0)]
    for threshold in scores.unique().tolist():
        accepted = scores <= threshold
        right = accepted & ~unknown & (prediction == target)
        points.append(((accepted & unknown).sum() / unknown.sum(), right.sum() / (~unknown).sum()))
    return np.array(points).T


@values
def test_auroc_is_the_fraction_of_pairs_in_order(values):
    scores, _, target = random_case(values)
    unknown = target < 0
    in_order = [(known < other) + (known == other) / 2 for known, other in pairs(scores, unknown)]
    assert auroc(scores, unknown) == pytest.approx(np.mean(in_order), abs=1e-12)
    assert auroc(scores, unknown) == pytest.approx(roc_auc_score(unknown, scores), abs=1e-12)


@values
@pytest.mark.parametrize("positive", ["unknown", "known"])
def test_aupr_is_the_precision_weighted_by_the_increase_in_recall(values, positive):
    scores, _, target = random_case(values)
    positives, found = (target < 0, scores) if positive == "unknown" else (target >= 0, -scores)
    area, before = 0.0, 0.0
    for threshold in sorted(set(found.tolist()), reverse=True):
        called = found >= threshold
        recall = ((called & positives).sum() / positives.sum()).item()
        area += (recall - before) * ((called & positives).sum() / called.sum()).item()
        before = recall
    assert aupr(scores, target < 0, positive) == pytest.approx(area, abs=1e-6)
    assert aupr(scores, target < 0, positive) == pytest.approx(average_precision_score(positives, found), abs=1e-12)


@pytest.mark.parametrize(("known", "unknown"), [(30, 5), (7, 100)])
def test_the_deviation_of_the_auroc_is_that_of_random_scores(known, unknown):
    torch.manual_seed(0)
    labels = torch.arange(known + unknown) >= known
    areas = torch.tensor([auroc(torch.rand(known + unknown), labels) for _ in range(4000)])
    assert auroc_deviation(known, unknown) == pytest.approx(float(areas.std()), rel=0.05)


@values
@pytest.mark.parametrize("at", [0.05, 0.5, 0.95, 1.0])
def test_false_positive_rate_is_that_of_counting_and_of_scikit_learn(values, at):
    scores, _, target = random_case(values)
    unknown = target < 0
    enough = [t for t in scores.unique() if (scores[~unknown] <= t).double().mean() >= at - 1e-12]
    rate = false_positive_rate(scores, unknown, at)
    assert rate == pytest.approx((scores[unknown] <= min(enough)).double().mean().item())
    rates, accepted, _ = roc_curve(~unknown, -scores, drop_intermediate=False)
    assert rate == pytest.approx(rates[accepted >= at - 1e-12][0])


@pytest.mark.parametrize("count", [20, 60, 100, 1000])
def test_95_percent_is_not_rounded_up_by_floating_point(count):
    scores = torch.cat([torch.arange(count), torch.arange(count) + 0.5])
    unknown = torch.arange(2 * count) >= count
    assert false_positive_rate(scores, unknown) == (count * 95 // 100 - 1) / count


@values
def test_oscr_is_the_area_under_its_curve(values):
    scores, prediction, target = random_case(values)
    rates, right = curve(scores, prediction, target)
    assert oscr(scores, prediction, target) == pytest.approx(trapezoid(right, rates), abs=1e-6)


def test_oscr_of_perfect_scores_is_the_accuracy_and_of_perfect_predictions_the_auroc():
    scores, prediction, target = random_case(40)
    known = target >= 0
    perfect = (~known).double()
    accuracy = (prediction == target)[known].double().mean().item()
    assert oscr(perfect, prediction, target) == pytest.approx(accuracy)
    assert oscr(scores, target, target) == pytest.approx(auroc(scores, ~known))
    assert oscr(scores, target.clamp(min=0) + 1, target) == 0


def test_by_hand():
    scores, unknown = torch.tensor([0.1, 0.2, 0.3, 0.3, 0.9]), torch.tensor([False, False, False, True, True])
    assert auroc(scores, unknown) == pytest.approx(5.5 / 6)
    assert aupr(scores, unknown) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert false_positive_rate(scores, unknown) == 1 / 2
    assert false_positive_rate(scores, unknown, at=0.6) == 0
    target = torch.tensor([0, 1, 1, UNKNOWN, UNKNOWN])
    assert oscr(scores, torch.tensor([0, 0, 1, 0, 1]), target) == pytest.approx((2 + 1.5) / 6)


def test_metrics_depend_on_the_order_only_and_scores_may_be_infinite():
    scores, prediction, target = random_case(40)
    finite = scores.clone()
    scores[scores == scores.max()], scores[scores == scores.min()] = INF, -INF
    assert auroc(scores, target < 0) == auroc(finite, target < 0)
    assert aupr(scores.float(), target < 0) == aupr(1e-30 * finite, target < 0)
    assert false_positive_rate(scores, target < 0) == false_positive_rate(finite, target < 0)
    assert oscr(scores, prediction, target) == oscr(finite, prediction, target)


@pytest.mark.parametrize("metric", [auroc, aupr, false_positive_rate])
@pytest.mark.parametrize(
    ("scores", "unknown", "message"),
    [
        ([0.1, 0.2], [True, True], "0 known and 2 unknown samples: at least one of each"),
        ([0.1, 0.2], [False, False], "2 known and 0 unknown samples"),
        ([], [], "0 known and 0 unknown"),
        ([0.1, NAN, NAN], [True, False, False], "scores: 2 of 3 are NaN"),
        ([0.1, 0.2], [True], r"scores \[2\] and unknown \[1\]"),
        ([[0.1], [0.2]], [[True], [False]], r"scores \[2, 1\]"),
    ],
)
def test_invalid_scores_raise(metric, scores, unknown, message):
    with pytest.raises(ValueError, match=message):
        metric(torch.tensor(scores), torch.tensor(unknown, dtype=torch.bool))


def test_oscr_raises_on_invalid_scores():
    zeros = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="3 known and 0 unknown"):
        oscr(torch.rand(3), zeros, zeros)
    with pytest.raises(ValueError, match="1 of 3 are NaN"):
        oscr(torch.tensor([NAN, 0, 0]), zeros, torch.tensor([0, 1, UNKNOWN]))
    with pytest.raises(ValueError, match=r"prediction \[3, 1\] and target \[3\]"):
        oscr(torch.rand(3), zeros[:, None], zeros)


def test_invalid_arguments_raise():
    scores, unknown = torch.rand(4), torch.tensor([True, False] * 2)
    with pytest.raises(ValueError, match="positive: 'in' is not unknown or known"):
        aupr(scores, unknown, "in")
    for at in (0, 1.1, 95, NAN):
        with pytest.raises(ValueError, match=rf"at: {at} is outside \(0, 1\]"):
            false_positive_rate(scores, unknown, at)
    with pytest.raises(ValueError, match=r"torch.int64: both need one entry per sample, \[N\], the second a bool"):
        auroc(scores, unknown.long())
