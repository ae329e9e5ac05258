"""Figures of a comparison, drawn anew from results that do not say how many validation labels are wrong."""

from pathlib import Path

from litzoo.scripts.docs.comparison_figures import draw

OPTIONS = [
    *("--config", "image_folder", "--data.folder", "absent"),
    *("--data.label_noise", "SymmetricNoise", "--data.label_noise.rate", "0.2"),
]
RESULTS = {
    "metric": "test/acc",
    "curves": {"val/acc": {"ce": {"0": {"0": 0.5, "1": 0.6}}}},
    "variants": {"ce": {"options": OPTIONS, "difference": None}},
}
PAGE, FIGURE = Path("docs/page.md"), Path("docs/images/compare_noise.png")


def test_curves_are_left_as_they_are_where_the_data_are_not_here(capsys):
    FIGURE.parent.mkdir(parents=True)
    FIGURE.write_bytes(b"as it was")
    draw("noise", RESULTS, PAGE)
    assert FIGURE.read_bytes() == b"as it was"
    assert "noise: the curves stay as they are" in capsys.readouterr().out


def test_results_that_say_it_need_no_data(capsys):
    FIGURE.parent.mkdir(parents=True)
    draw("noise", {**RESULTS, "wrong_validation_labels": [0.2]}, PAGE)
    assert FIGURE.stat().st_size > 1000
    assert "stay" not in capsys.readouterr().out
