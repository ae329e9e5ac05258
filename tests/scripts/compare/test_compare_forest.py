import math

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from litzoo.scripts.compare.figure import draw_comparison, draw_small_multiples
from litzoo.scripts.compare.forest import draw_differences


def compared(metric="test/acc", **differences):
    results = {"first": {"difference": None, "runs": [{"metrics": {metric: 0.9}}]}}
    for name, (mean, low, high) in differences.items():
        difference = {"mean": mean, "low": low, "high": high, "pairs": 3 if low is not None else 1}
        results[name] = {"difference": difference, "runs": [{"metrics": {metric: 0.9}}]}
    return results


def test_each_variant_has_a_row_with_its_interval_and_value():
    figure = draw_differences(compared(better=(0.02, 0.01, 0.03), same=(-0.01, -0.03, 0.01)), "test/acc")
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["better", "same"]
    intervals = [collection.get_segments()[0] for collection in panel.collections]
    assert [(low[0], high[0], low[1]) for low, high in intervals] == [
        pytest.approx((1, 3, 0)),
        pytest.approx((-3, 1, 1)),
    ]
    assert [text.get_text() for text in panel.texts] == ["+2.00 (+1.00 to +3.00)", "-1.00 (-3.00 to +1.00)"]
    zero, *_ = panel.lines
    assert list(zero.get_xdata()) == [0, 0]
    low, high = panel.get_xlim()
    assert low <= 0 <= high
    # The first row is on top, and only an interval without zero is coloured.
    assert panel.get_ylim()[0] > panel.get_ylim()[1]
    colours = [line.get_color() for line in panel.lines if line.get_marker() == "o"]
    assert colours == ["tab:blue", "tab:gray"]
    assert panel.get_xlabel() == "difference in test/acc (points) to first; higher is better"
    assert figure.get_suptitle() == "test/acc: mean difference to first, with 95 % interval, 3 seeds"


def test_a_single_seed_has_no_interval():
    figure = draw_differences(compared(other=(0.02, None, None)), "test/acc")
    (panel,) = figure.axes
    assert not panel.collections
    assert figure.get_suptitle() == "test/acc: mean difference to first, 1 seed"


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("test/loss", "lower is better"),
        ("test/unknown/fpr95_known_positive", "lower is better"),
        ("test/acc/cat", "higher is better"),
        ("test/own", None),
        ("test/unknown/threshold", None),
        ("test/set_coverage", None),
        ("test/adaptive_ece", "lower is better"),
        ("test/ece_uncalibrated", "lower is better"),
    ],
)
def test_the_axis_says_which_direction_is_better_where_it_is_known(metric, direction):
    (panel,) = draw_differences(compared(metric, other=(0.02, 0.01, 0.03)), metric).axes
    assert panel.get_xlabel().partition("; ")[2] == (direction or "")


def test_one_variant_has_no_differences():
    assert draw_differences(compared(), "test/acc") is None


def histories(count):
    return {f"v{number}": {0: {"val/acc": {1: 0.5, 2: 0.6 + number / 100}}} for number in range(count)}


def test_more_than_six_variants_have_a_panel_each_beside_the_first():
    assert len(draw_comparison(histories(6), ["val/acc"]).axes) == 1
    figure = draw_comparison(histories(10), ["val/acc"])
    drawn = [panel for panel in figure.axes if panel.lines]
    assert [panel.get_title() for panel in drawn] == [f"v{number}" for number in range(1, 10)]
    for number, panel in enumerate(drawn, start=1):
        first, own = (list(line.get_ydata()) for line in panel.lines)
        assert (first, own) == ([0.5, 0.6], [0.5, 0.6 + number / 100])
    assert len({panel.get_ylim() for panel in drawn}) == 1
    assert figure.get_suptitle() == "one seed; solid: the variant, dashed: v0"


def test_each_metric_has_its_own_panels():
    both = {name: {0: {**seeds[0], "train/loss": {1: 2.0, 2: 1.0}}} for name, seeds in histories(3).items()}
    panels = draw_small_multiples(both, ["val/acc", "train/loss"]).axes
    assert [panel.get_ylabel() for panel in panels] == ["val/acc", "", "train/loss", ""]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ([0.498, 0.5], "val/acc\n(50 % of these labels are wrong)"),
        ([0.2, 0.0, 0.4], "val/acc\n(20 to 40 % of these labels are wrong)"),
        ([0.0, 0.0], "val/acc"),
    ],
)
def test_the_axis_says_how_many_validation_labels_are_wrong(wrong, expected):
    (panel,) = draw_comparison(histories(2), ["val/acc"], wrong).axes
    assert panel.get_ylabel() == expected


def test_differences_that_are_not_finite_are_named_instead_of_drawn():
    found = compared("test/loss", fine=(0.2, 0.1, 0.3), broken=(math.nan, None, None), endless=(math.inf, None, None))
    figure = draw_differences(found, "test/loss")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["fine"]
    assert figure.get_suptitle().endswith("3 seeds\nnot drawn, since not finite: broken, endless")
    assert draw_differences(compared("test/loss", broken=(math.nan, None, None)), "test/loss") is None


def test_the_title_says_that_the_first_variant_has_no_result():
    figure = draw_differences(compared(other=(0.02, 0.01, 0.03)), "test/acc", baseline="base")
    assert figure.get_suptitle().endswith("\nbase, the first variant, has no result")
    assert "\n" not in draw_differences(compared(other=(1, 0, 2)), "test/acc", baseline="first").get_suptitle()


def test_large_differences_are_written_in_full_at_the_axis():
    figure = draw_differences(compared("test/rmse", other=(2e6, 1e6, 3e6)), "test/rmse")
    (panel,) = figure.axes
    FigureCanvasAgg(figure).draw()
    assert panel.xaxis.get_offset_text().get_text() == ""
    assert "1,000,000" in [label.get_text() for label in panel.get_xticklabels()]


def test_curves_with_values_that_are_not_finite_are_drawn():
    broken = {"a": {0: {"val/loss": {1: 1.0, 2: math.nan, 3: math.inf}}}, "b": {0: {"val/loss": {1: 1.0, 2: 0.9}}}}
    FigureCanvasAgg(draw_comparison(broken, ["val/loss"])).draw()
