from itertools import pairwise

import pytest

from litzoo.callbacks import RunSummary
from litzoo.scripts.compare.compared_run import read_history
from litzoo.scripts.compare.figure import band, choose_curves, draw_comparison, draw_curves
from tests.scripts.helpers import litzoo, short_fit

BOTH = {"val/acc": {1: 0.5, 2: 0.6}, "val/loss": {1: 2.0, 2: 1.0}}


def test_history_equals_that_of_run_summary_also_after_resuming():
    options = ["--trainer.check_val_every_n_epoch=2", "--data.val_size=50"]
    cli = short_fit(*options, "--trainer.max_epochs=2", "--test_after_fit=true")
    cli = short_fit(*options, "--trainer.max_epochs=4", "--ckpt_path=last", "--test_after_fit=true")
    litzoo("test", "--config", str(cli.run_folder / "config.yaml"), "--ckpt_path=last")
    summary = next(each for each in cli.trainer.callbacks if isinstance(each, RunSummary))
    expected = {
        name: {entry["epoch"] + 1: entry[name] for entry in summary.history if name in entry}
        for name in ("train/loss", "train/acc", "val/loss", "val/acc")
    }
    assert len(expected["val/acc"]) == 2
    found = read_history(cli.run_folder)
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values)


def test_band_has_the_epochs_of_all_curves():
    curves = [{1: 1.0, 2: 4.0, 3: 9.0}, {1: 3.0, 2: 5.0}]
    assert band(curves) == ([1, 2], [2.0, 4.5], [1.0, 4.0], [3.0, 5.0])


@pytest.mark.parametrize(
    ("requested", "metric", "chosen"),
    [
        ([], "test/loss", ["val/loss"]),
        ([], "test/acc/cat", ["val/acc"]),
        ([], "test/f1", ["val/acc"]),
        (["val/loss"], "test/acc", ["val/loss"]),
        (["val/loss", "val/acc"], "test/acc", ["val/loss", "val/acc"]),
    ],
)
def test_curve_is_the_requested_or_the_closest_validation_metric(requested, metric, chosen):
    assert choose_curves(requested, metric, {"a": {0: BOTH}}) == chosen


def test_without_validation_the_training_accuracy_is_drawn_rather_than_losses_of_different_kinds():
    trained = {"train/loss": {1: 1.0}, "train/acc": {1: 0.5}}
    assert choose_curves([], "test/balanced_acc", {"a": {0: trained}}) == ["train/acc"]
    assert choose_curves([], "test/rmse", {"a": {0: {"train/loss": {1: 1.0}}}}) == ["train/loss"]


def test_metrics_that_some_runs_lack_are_drawn_only_on_request():
    histories = {"a": {0: BOTH}, "b": {0: {"val/loss": {1: 1.0}}}}
    assert choose_curves([], "test/acc", histories) == ["val/loss"]
    assert choose_curves(["val/acc"], "test/acc", histories) == ["val/acc"]
    with pytest.raises(ValueError, match=r"--curve val/f1: was not logged; there are val/acc, val/loss$"):
        choose_curves(["val/acc", "val/f1"], "test/acc", histories)


@pytest.mark.parametrize(("seeds", "title"), [((0,), "one seed"), ((0, 1), "mean and range over the seeds")])
def test_the_title_says_whether_the_range_over_seeds_is_shown(seeds, title):
    figure = draw_curves({"a": dict.fromkeys(seeds, BOTH), "b": {0: BOTH}}, ["val/acc"])
    assert figure.get_suptitle() == title


def test_each_metric_has_a_panel_without_lines_of_variants_that_lack_it():
    histories = {"a": {0: BOTH}, "b": {0: {"val/loss": {1: 1.0, 2: 0.5}}}}
    figure = draw_curves(histories, ["val/loss", "val/acc"])
    assert [(panel.get_ylabel(), len(panel.lines)) for panel in figure.axes] == [("val/loss", 2), ("val/acc", 1)]
    (legend,) = figure.legends  # since the last panel lacks one
    assert [text.get_text() for text in legend.get_texts()] == ["a (1)", "b (1)"]


def test_short_and_long_trainings_are_drawn_by_percentage():
    long = {"val/acc": {epoch: epoch / 10 for epoch in range(1, 9)}}
    (panel,) = draw_curves({"short": {0: BOTH}, "long": {0: long}}, ["val/acc"]).axes
    short, long = (list(line.get_xdata()) for line in panel.lines)
    assert short == [50, 100]
    assert long == pytest.approx([100 * epoch / 8 for epoch in range(1, 9)])
    assert panel.get_xlabel() == "part of the training (2 to 8 epochs)"
    assert [each.get_text() for each in panel.get_xticklabels()] == ["0 %", "25 %", "50 %", "75 %", "100 %"]
    assert panel.get_xticks().tolist() == [0, 25, 50, 75, 100]


def test_small_multiples_of_short_and_long_trainings_are_drawn_by_percentage():
    long = {"val/acc": {epoch: epoch / 10 for epoch in range(1, 9)}}
    histories = {"long": {0: long}, **{f"v{number}": {0: BOTH} for number in range(6)}}
    first, *_ = draw_comparison(histories, ["val/acc"]).axes
    assert [max(line.get_xdata()) for line in first.lines] == [100, 100]
    assert "part of the training\n(2 to 8 epochs)" in {panel.get_xlabel() for panel in first.figure.axes}
    assert [each.get_text() for each in first.get_xticklabels()] == ["0 %", "25 %", "50 %", "75 %", "100 %"]


@pytest.mark.parametrize(("first", "cut"), [(0.1, True), (0.75, False)])
def test_the_y_axis_ignores_a_steep_beginning(first, cut):
    rest = {epoch: 0.8 + epoch / 100 for epoch in range(2, 12)}
    (panel,) = draw_curves({"a": {0: {"val/acc": {1: first, **rest}}}}, ["val/acc"]).axes
    bottom, top = panel.get_ylim()
    assert (bottom > first) == cut
    assert bottom < rest[2] < rest[11] < top


def test_each_variant_has_a_line_and_with_several_seeds_a_band():
    other = {"val/acc": {1: 0.7, 2: 0.8}}
    (panel,) = draw_curves({"many": {0: BOTH, 1: other}, "single": {0: BOTH}}, ["val/acc"]).axes
    many, single = panel.lines
    assert list(many.get_ydata()) == pytest.approx([0.6, 0.7])
    assert list(single.get_ydata()) == [0.5, 0.6]
    assert list(many.get_xdata()) == [1, 2]
    (drawn,) = panel.collections
    corners = drawn.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((0.5, 0.8))
    assert not panel.figure.legends
    assert {text.get_text(): text.get_color() for text in panel.texts} == {
        "many (2)": many.get_color(),
        "single (1)": single.get_color(),
    }


def test_names_at_the_ends_of_curves_are_in_their_order_and_do_not_overlap():
    ends = [0.9, 0.901, 0.902, 0.903, 0.2, 0.9]
    histories = {f"v{number}": {0: {"val/acc": {1: 0.1, 2: end}}} for number, end in enumerate(ends)}
    (panel,) = draw_curves(histories, ["val/acc"]).axes
    heights = {text.get_text(): text.xyann[1] for text in panel.texts}
    assert len(heights) == 6
    assert min(heights, key=heights.get) == "v4 (1)"
    assert max(heights, key=heights.get) == "v3 (1)"
    ordered = sorted(heights.values())
    assert all(0 <= height <= 1 for height in ordered)
    assert all(high - low > 0.06 for low, high in pairwise(ordered))


@pytest.mark.parametrize("count", [6, 7])
def test_more_than_six_variants_have_a_legend(count):
    figure = draw_curves({f"v{number}": {0: BOTH} for number in range(count)}, ["val/acc"])
    assert (len(figure.legends), len(figure.axes[0].texts)) == ((0, 6) if count == 6 else (1, 0))


def test_many_lines_differ_in_color_or_style():
    (panel,) = draw_curves({f"variant {number}": {0: BOTH} for number in range(25)}, ["val/acc"]).axes
    assert len({(line.get_color(), line.get_linestyle()) for line in panel.lines}) == 25


@pytest.mark.parametrize(
    ("sizes", "label"),
    [
        ([5], "val/acc\n(5 validation samples)"),
        ([5, 8, 6], "val/acc\n(5 to 8 validation samples)"),
        ([99, 1000], "val/acc\n(99 to 1,000 validation samples)"),
        ([100], "val/acc"),
        ([], "val/acc"),
    ],
)
@pytest.mark.parametrize("variants", [2, 7])
def test_the_axis_says_how_many_validation_samples_there_are_if_they_are_few(sizes, label, variants):
    both = {**BOTH, "train/acc": BOTH["val/acc"]}
    histories = {f"v{number}": {0: both} for number in range(variants)}
    figure = draw_comparison(histories, ["val/acc", "train/acc"], [0.2], validation_sizes=sizes)
    labels = {panel.get_ylabel() for panel in figure.axes} - {""}
    assert labels == {f"{label}\n(20 % of these labels are wrong)", "train/acc"}
