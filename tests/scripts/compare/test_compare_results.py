import math
from dataclasses import asdict

import pytest
from scipy.stats import ttest_rel

from litzoo.scripts.compare.results import Difference, choose_metric, paired_difference, table, wide_table

TESTED = {"test/loss": 0.3, "test/acc": 0.9, "test/acc/cat": 0.8}


def test_difference_equals_that_of_a_paired_t_test():
    ours = {0: 0.931, 1: 0.947, 2: 0.95, 5: 0.91}
    theirs = {5: 0.90, 2: 0.93, 1: 0.944, 0: 0.92}
    found = paired_difference(ours, theirs)
    truth = ttest_rel(list(ours.values()), [theirs[seed] for seed in ours]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((truth.low, truth.high))
    assert found.mean == pytest.approx((0.011 + 0.003 + 0.02 + 0.01) / 4)
    assert found.pairs == 4


def test_difference_of_three_seeds_equals_that_computed_by_hand():
    # Differences 1, 2, 3: mean 2, standard deviation 1, t(0.975, 2) = 4.3027.
    found = paired_difference({0: 2.0, 1: 4.0, 2: 6.0}, {0: 1.0, 1: 2.0, 2: 3.0})
    assert found.high - found.mean == pytest.approx(4.30265 / math.sqrt(3), rel=1e-5)


def test_only_common_seeds_are_compared():
    assert paired_difference({0: 1.0, 1: 5.0}, {0: 0.5, 2: 9.0}) == Difference(0.5, None, None, 1)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_equal_differences_have_no_interval():
    assert paired_difference({0: 0.9, 1: 0.8}, {0: 0.8, 1: 0.7}) == Difference(pytest.approx(0.1), None, None, 2)


@pytest.mark.parametrize(
    ("requested", "metrics", "primary", "chosen"),
    [
        (None, TESTED, "acc", "test/acc"),
        (None, {"test/loss": 1.0, "test/rmse": 2.0}, "rmse", "test/rmse"),
        (None, TESTED, None, "test/loss"),
        (None, TESTED, "f1", "test/loss"),
        ("test/loss", TESTED, "acc", "test/loss"),
        ("test/acc/cat", TESTED, "acc", "test/acc/cat"),
    ],
)
def test_metric_is_the_requested_or_the_primary_one_of_the_module(requested, metrics, primary, chosen):
    assert choose_metric(requested, metrics, primary) == chosen


def test_the_message_about_an_unknown_metric_lists_the_measured_ones():
    with pytest.raises(ValueError, match=r"test/f1: .* test/loss, test/acc, test/known/acc, .* such as test/acc/cat"):
        choose_metric("test/f1", {**TESTED, "test/known/acc": 0.7})


def result(metric, values, seconds=10, difference=None):
    runs = [{"metrics": {metric: value}, "training_seconds": seconds} for value in values]
    return {"runs": runs, "difference": difference}


def test_errors_in_units_are_not_shown_in_percent():
    lower = {"mean": -1500.0, "low": -2000.5, "high": -999.5, "pairs": 3}
    results = {"a": result("test/rmse", [50_000, 52_000]), "b": result("test/rmse", [49_500], difference=lower)}
    header, rows = table(results, "test/rmse")
    assert header[1:4] == ["test/rmse (mean ± std)", "n", "difference to `a` (95 % interval)"]
    assert rows == [
        ["`a`", "51,000.00 ± 1,414.21", "2", "", "10"],
        ["`b`", "49,500.00", "1", "-1,500.00 (-2,000.50 to -999.50)", "10"],
    ]


def test_an_unknown_training_time_is_not_shown():
    results = {"a": result("test/loss", [0.01234], seconds=None)}
    assert table(results, "test/loss") == (
        ["variant", "test/loss (mean ± std)", "n", "training seconds"],
        [["`a`", "0.0123", "1", ""]],
    )


def test_wide_table_has_a_column_for_each_metric_with_the_prefix():
    first = {"test/unknown/auroc": 0.9, "test/unknown/auroc/Energy": 0.5, "test/unknown/auroc/ViM": 0.25}
    second = {"test/unknown/auroc": 0.7, "test/unknown/auroc/Energy": 0.7}
    results = {"a": {"runs": [{"metrics": first}, {"metrics": second}]}, "b": {"runs": [{"metrics": second}]}}
    header, rows = wide_table(results, "test/unknown/auroc/")
    assert header == ["test/unknown/auroc/...", "Energy", "ViM"]
    assert rows == [["`a`", "60.00 ± 14.14", "25.00"], ["`b`", "70.00", ""]]
    assert wide_table(results, "test/unknown/auroc")[0][1:] == ["overall", "/Energy", "/ViM"]
    units = {"a": {"runs": [{"metrics": {"test/unknown/threshold": -7.25}}]}}
    assert wide_table(units, "test/unknown/thr")[1] == [["`a`", "-7.2500"]]
    with pytest.raises(ValueError, match="--also test/none: no metric begins with it; there are test/unknown/auroc, "):
        wide_table(results, "test/none")


def test_values_that_are_not_finite_are_shown_as_such():
    assert paired_difference({0: math.nan, 1: 2.0}, {0: 1.0, 1: 1.0}).low is None
    broken = asdict(paired_difference({0: math.nan, 1: 2.0}, {0: 1.0, 1: 1.0}))
    results = {"a": result("test/loss", [1.0, 2.0]), "b": result("test/loss", [math.nan, 20.0], difference=broken)}
    assert [row[1:4] for row in table(results, "test/loss")[1]] == [
        ["1.50 ± 0.71", "2", ""],
        ["nan", "2", "nan"],
    ]
    endless = paired_difference({0: math.inf, 1: 2.0}, {0: 1.0, 1: 1.0})
    assert (endless.mean, endless.low) == (math.inf, None)


def test_the_table_says_that_the_first_variant_has_no_result():
    results = {"b": result("test/acc", [0.5]), "c": result("test/acc", [0.5])}
    assert table(results, "test/acc", "a")[0][3].startswith("difference to `b`, since `a` has no result in points")
    assert table(results, "test/acc", "b")[0][3] == "difference to `b` in points (95 % interval)"


@pytest.mark.parametrize("name", ["ece", "adaptive_ece", "ece_uncalibrated", "set_coverage", "interval_coverage"])
def test_fractions_of_calibration_are_shown_in_percent(name):
    assert table({"a": result(f"test/{name}", [0.125])}, f"test/{name}")[1][0][1] == "12.50 %"
