import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest
import torch

from litzoo.callbacks import ConformalIntervals, ConformalSets, ResidualDifficulty
from litzoo.callbacks.calibration.conformal import conformal_quantile, coverage_range
from litzoo.callbacks.calibration.sets import class_scores
from tests.callbacks.calibration.samples import COVERAGES, regression_samples, sampled


def test_quantiles_by_hand():
    scores = torch.tensor([0.3, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])  # n + 1 = 10
    assert float(conformal_quantile(scores, 0.9)) == pytest.approx(0.9)
    assert float(conformal_quantile(scores, 0.8)) == pytest.approx(0.8)
    assert float(conformal_quantile(scores, 0.81)) == pytest.approx(0.9)
    assert float(conformal_quantile(scores, 0.1)) == pytest.approx(0.1)
    assert conformal_quantile(scores, 0.91).isinf()


def test_scores_by_hand():
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log()
    assert class_scores(logits, "lac").tolist() == [pytest.approx([0.8, 0.5, 0.7])]
    assert class_scores(logits, "aps").tolist() == [pytest.approx([0.8, 0.0, 0.5])]


def test_sets_by_hand():
    logits = torch.tensor([[0.2, 0.5, 0.3], [0.05, 0.05, 0.9], [0.4, 0.35, 0.25]]).log()
    sets = ConformalSets(0.5, "lac")
    sets.scores, sets.target = torch.full((9,), 0.66, dtype=torch.float64), torch.zeros(9, dtype=torch.int64)
    assert sets.sets(logits).tolist() == [[False, True, False], [False, False, True], [True, True, False]]
    sets.method, sets.scores = "aps", torch.full((9,), 0.6, dtype=torch.float64)
    # The most likely classes until they have 0.6 together.
    assert sets.sets(logits).tolist() == [[False, True, True], [False, False, True], [True, True, False]]


@pytest.fixture(scope="module")
def mapie(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "reference.pt"
    command = [sys.executable, "-m", "tests.callbacks.calibration.mapie_reference", str(path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3])
    return torch.load(path)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_lac_agrees_with_mapie(coverage, mapie):
    (calibration, known), (logits, _) = sampled(500), sampled(800, seed=1)
    expected = mapie[f"lac {coverage}"]
    found = ConformalSets(coverage, "lac").fit(calibration, known).sets(logits)
    filled = expected.any(dim=1)  # MAPIE leaves some sets empty
    assert torch.equal(found[filled], expected[filled])
    assert torch.equal(found[~filled].sum(dim=1), torch.ones(int((~filled).sum()), dtype=torch.int64))


@pytest.mark.parametrize("coverage", COVERAGES)
def test_aps_agrees_with_mapie(coverage, mapie):
    (calibration, known), (logits, _) = sampled(500), sampled(800, seed=1)
    assert torch.equal(ConformalSets(coverage, "aps").fit(calibration, known).sets(logits), mapie[f"aps {coverage}"])


def test_intervals_agree_with_mapie(mapie):
    inputs, targets, new = map(torch.from_numpy, regression_samples())
    found = ConformalIntervals(0.9).fit(inputs[:, 0], targets).predict(new[:, 0])
    torch.testing.assert_close(torch.stack([found["lower"], found["upper"]], dim=1), mapie["intervals"])


def test_normalized_intervals_agree_with_mapie(mapie):
    inputs, targets, new = map(torch.from_numpy, regression_samples())
    difficulty = ResidualDifficulty()
    statistics = {"mean": [0.0], "weight": [0.5], "bias": -1.0, "low": -9.0, "high": 9.0}
    difficulty.load_state_dict({name: torch.tensor(value) for name, value in statistics.items()})
    found = ConformalIntervals(0.9, difficulty).fit(inputs[:, 0], targets, inputs).predict(new[:, 0], new)
    expected = mapie["normalized intervals"]
    torch.testing.assert_close(torch.stack([found["lower"], found["upper"]], dim=1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("coverage", [0.9, 0.95])
def test_the_coverage_holds_in_a_simulation(method, coverage):
    """Over many calibrations with 39 samples each, the mean coverage is that of theory: k / (n + 1)."""
    logits, target = sampled(40 * 2000, classes=6, sharpness=1.0)
    missed = 0
    for rows in torch.arange(len(logits)).reshape(-1, 40):
        sets = ConformalSets(coverage, method).fit(logits[rows[:39]], target[rows[:39]])
        included = class_scores(logits[rows[39:]], method) <= sets.thresholds(6)
        missed += int(not included[0, target[rows[39]]])
    expected = ceil(40 * coverage) / 40
    assert 1 - missed / 2000 == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 2000) ** 0.5)


def test_the_coverage_of_each_class_holds_where_it_is_asked_for():
    """A rare class that the model confuses with another is covered less than asked, unless it is calibrated alone."""
    generator = torch.Generator().manual_seed(0)

    def drawn(n):
        target = (torch.rand(n, generator=generator) < 0.1).long()
        signal = torch.where(target == 1, 0.0, 2.0) + torch.randn(n, generator=generator)
        return torch.stack([signal, -signal], dim=1), target

    calibration, known = drawn(5000)
    logits, target = drawn(50_000)
    values = [
        ConformalSets(0.9, "lac", per_class, ["often", "rare"]).fit(calibration, known).evaluate(logits, target)
        for per_class in (False, True)
    ]
    pooled = ConformalSets(0.9).fit(calibration, known).sets(logits)[target == 1, 1].double().mean()
    assert values[0]["set_coverage"] > 0.885
    assert float(pooled) < 0.75
    assert values[1]["set_coverage/rare"] == pytest.approx(0.9, abs=0.04)
    assert values[1]["set_coverage/often"] > 0.885
    assert "set_coverage/rare" not in values[0]


def test_the_range_of_the_coverage_is_that_of_calibrations():
    scores = torch.rand(4000, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reached = torch.stack([conformal_quantile(row, 0.9) for row in scores])  # uniform scores: the quantile is it
    low, high = coverage_range(50, 0.9)
    assert float((reached < low).double().mean()) == pytest.approx(0.05, abs=0.015)
    assert float((reached > high).double().mean()) == pytest.approx(0.05, abs=0.015)
    assert f"with 50 calibration samples, {low:.3f} to {high:.3f} in 9 of 10" in (
        ConformalIntervals(0.9).fit(torch.zeros(50), torch.rand(50)).promise()
    )


def test_too_few_samples_are_refused_with_what_can_be_promised():
    logits, _ = sampled(60)
    target = torch.arange(60) % 3
    with pytest.raises(ValueError, match=r"0\.99 needs 99 calibration samples, but 60 .* promise at most 0\.984"):
        ConformalSets(0.99).fit(logits, target)
    of_each = r"0\.96 needs 24 .* of each class, but 20 calibration samples of class a promise at most 0\.952"
    with pytest.raises(ValueError, match=of_each):
        ConformalSets(0.96, per_class=True, class_names=["a", "b", "c", "d"]).fit(logits, target)
    with pytest.raises(ValueError, match=r"0 calibration samples of class d promise at most 0\.000"):
        ConformalSets(0.9, per_class=True, class_names=["a", "b", "c", "d"]).fit(logits, target)
    sets = ConformalSets(0.95, per_class=True, class_names=["a", "b", "c"]).fit(logits[:, :3], target)
    assert "with 20 calibration samples of 'a', the smallest class, " in sets.promise()
    with pytest.raises(ValueError, match=r"PredictionIntervals\.coverage: 0\.9 needs 9 calibration samples, but 3"):
        ConformalIntervals(0.9).fit(torch.zeros(3), torch.ones(3))


def test_bad_arguments_and_values_are_refused():
    with pytest.raises(ValueError, match=r"PredictionSets\.coverage: 90 is outside \(0, 1\)"):
        ConformalSets(90)
    with pytest.raises(ValueError, match=r"method: 'raps' is not one of lac, aps"):
        ConformalSets(method="raps")
    logits, target = sampled(50)
    logits[4] = torch.nan
    with pytest.raises(ValueError, match="logits of 1 of 50 samples are not finite"):
        ConformalSets().fit(logits, target)
    with pytest.raises(ValueError, match="1 of 50 residuals are not finite"):
        ConformalIntervals().fit(logits[:, 0], target.double())
    with pytest.raises(RuntimeError, match="nothing was calibrated"):
        ConformalSets().sets(logits)


def test_state_is_restored_and_another_method_is_not():
    logits, target = sampled(200)
    fitted = ConformalSets(0.9, "aps").fit(logits, target)
    same, other, wider = ConformalSets(0.9, "aps"), ConformalSets(0.9, "lac"), ConformalSets(0.99, "aps", True)
    for each in (same, other, wider):
        each.load_state_dict(fitted.state_dict())
    assert torch.equal(same.sets(logits), fitted.sets(logits))
    assert other.scores is None
    assert other.target is None
    assert wider.sets(logits).sum() > fitted.sets(logits).sum()
    same.load_state_dict({})
    assert same.state_dict() == {}


def test_shapes_that_would_be_broadcast_are_refused():
    output, target = torch.randn(50), torch.randn(50)
    intervals = ConformalIntervals().fit(output, target)
    for call in (intervals.fit, intervals.evaluate):
        with pytest.raises(ValueError, match=r"predictions \[50, 1\] and target \[50\]; .*prediction\.squeeze\(1\)"):
            call(output[:, None], target)
        with pytest.raises(ValueError, match=r"predictions \[50\] and target \[1\]; give \[N\] and \[N\]$"):
            call(output, target[:1])
    with pytest.raises(ValueError, match=r"predictions \[50, 1\]; give \[N\]"):
        intervals.predict(output[:, None])
    assert intervals.evaluate(output, target)["interval_coverage"] >= 0.9


def test_targets_and_logits_that_do_not_fit_are_refused():
    logits, target = sampled(100)
    classes = logits.shape[1]
    sets = ConformalSets().fit(logits, target)
    for call in (sets.fit, sets.evaluate):
        with pytest.raises(
            ValueError, match=rf"target has the class {classes}, but the logits are of {classes} classes"
        ):
            call(logits, target.where(target > 0, torch.tensor(classes)))
        with pytest.raises(ValueError, match=r"target is of torch\.float32; give the number of each class"):
            call(logits, target.float())
        with pytest.raises(ValueError, match=r"logits \[100, \d\] and target \[99\]; give \[N, K\] and \[N\]"):
            call(logits, target[1:])
    with pytest.raises(ValueError, match=rf"logits of 2 classes, but calibrated on {classes}"):
        sets.sets(logits[:, :2])
    restored = ConformalSets()
    restored.load_state_dict(sets.state_dict())
    with pytest.raises(ValueError, match=rf"logits of 2 classes, but calibrated on {classes}"):
        restored.sets(logits[:, :2])
    restored.load_state_dict({name: value for name, value in sets.state_dict().items() if name != "classes"})
    assert torch.equal(restored.sets(logits), sets.sets(logits))  # a checkpoint that does not say it
    assert torch.equal(ConformalSets().fit(logits, target.int()).sets(logits), sets.sets(logits))
    broken = logits.clone()
    broken[[2, 5], 0] = torch.nan
    with pytest.raises(ValueError, match=r"the logits of 2 of 100 samples are NaN or infinite"):
        sets.sets(broken)
    masked = logits.clone()
    masked[:, 0] = -torch.inf  # a class that cannot be
    assert not sets.sets(masked)[:, 0].any()


def test_a_coverage_that_is_no_number_is_refused():
    for rule in (ConformalSets, ConformalIntervals):
        with pytest.raises(TypeError, match=r"coverage: '0\.9' is a str; give a number such as 0\.9"):
            rule(coverage="0.9")
        with pytest.raises(ValueError, match="nan is outside"):
            rule(coverage=float("nan"))
