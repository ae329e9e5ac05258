"""Figures of a comparison, drawn anew from its results alone."""

import json
from pathlib import Path

import pytest

from litzoo.scripts.docs.comparison_figures import draw
from tests.scripts.helpers import CONFIGS

PUBLISHED = sorted((CONFIGS.parent / "docs" / "results").glob("compare_*.json"))


def test_curves_are_drawn_without_the_data():
    results = {
        "metric": "test/acc",
        "curves": {"val/acc": {"ce": {"0": {"0": 0.5, "1": 0.6}}}},
        "variants": {"ce": {"options": ["--config", "image_folder", "--data.folder", "absent"], "difference": None}},
        "wrong_validation_labels": [0.2],
    }
    figure = Path("docs/images/compare_noise.png")
    figure.parent.mkdir(parents=True)
    draw("noise", results, Path("docs/page.md"))
    assert figure.stat().st_size > 1000


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_results_say_how_many_validation_labels_are_wrong(path):
    fractions = json.loads(path.read_text(encoding="utf-8"))["wrong_validation_labels"]
    assert all(0 <= each < 1 for each in fractions)
    assert ("noisy" in path.stem or "asymmetric" in path.stem or "cifar10n" in path.stem) <= (max([0, *fractions]) > 0)
