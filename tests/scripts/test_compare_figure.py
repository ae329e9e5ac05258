import pytest

from callbacks import RunSummary
from scripts.compare_figure import band, choose_curve, draw_curves
from scripts.run_history import read_history
from tests.scripts.helpers import litzoo, short_fit

BOTH = {"val/acc": {1: 0.5, 2: 0.6}, "val/loss": {1: 2.0, 2: 1.0}}


def test_history_is_what_the_run_remembers_itself_even_when_resumed():
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


def test_band_holds_the_epochs_that_all_have():
    curves = [{1: 1.0, 2: 4.0, 3: 9.0}, {1: 3.0, 2: 5.0}]
    assert band(curves) == ([1, 2], [2.0, 4.5], [1.0, 4.0], [3.0, 5.0])


@pytest.mark.parametrize(
    ("asked", "metric", "chosen"),
    [
        (None, "test/loss", "val/loss"),
        (None, "test/acc/cat", "val/acc"),
        (None, "test/f1", "val/acc"),
        ("val/loss", "test/acc", "val/loss"),
    ],
)
def test_curve_is_the_nearest_that_validation_knows(asked, metric, chosen):
    assert choose_curve(asked, metric, {"a": {0: BOTH}}) == chosen


def test_curve_that_a_run_lacks_is_refused_with_those_that_all_have():
    with pytest.raises(ValueError, match=r"--curve val/acc: .* there are val/loss$"):
        choose_curve("val/acc", "test/acc", {"a": {0: BOTH}, "b": {0: {"val/loss": {1: 1.0}}}})


def test_each_variant_has_a_line_and_with_several_seeds_a_band():
    other = {"val/acc": {1: 0.7, 2: 0.8}}
    (panel,) = draw_curves({"many": {0: BOTH, 1: other}, "single": {0: BOTH}}, "val/acc").axes
    many, single = panel.lines
    assert list(many.get_ydata()) == pytest.approx([0.6, 0.7])
    assert list(single.get_ydata()) == [0.5, 0.6]
    assert list(many.get_xdata()) == [1, 2]
    (drawn,) = panel.collections
    corners = drawn.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((0.5, 0.8))
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["many (2)", "single (1)"]


def test_no_two_of_many_lines_look_alike():
    (panel,) = draw_curves({f"variant {number}": {0: BOTH} for number in range(25)}, "val/acc").axes
    assert len({(line.get_color(), line.get_linestyle()) for line in panel.lines}) == 25
