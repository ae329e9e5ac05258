"""The files and the figure of a ranking."""

import csv

import numpy as np
import pytest
import torch

from litzoo.callbacks.label_issues.report import (
    agreement,
    doubt,
    draw_suspects,
    rare_classes,
    summary,
    suspect_columns,
    write_suspects,
)
from litzoo.callbacks.samples import ABSENT
from litzoo.datamodules import UNKNOWN
from litzoo.lit_modules.label_judgement import LabelJudgement
from tests.callbacks.drawn import drawn_images

NAMES = ["ant", "bee, honey", "Käfer"]
RANKED = {
    "index": torch.tensor([4, 1, 3, 0]),
    "score": torch.tensor([0.99, 0.75, 0.5, 1e-7], dtype=torch.double),
    "given": torch.tensor([0, 1, 2, 0]),
    "predicted": torch.tensor([1, 2, 1, 0]),
    "clean": torch.tensor([UNKNOWN, 2, 2, 0]),
}
JUDGED = LabelJudgement(
    wrong=RANKED["score"],
    log_odds=RANKED["score"].logit(),
    suggested=torch.tensor([1, 2, 1, 2]),
    probability=torch.tensor([0.98, 0.7, 0.5, 1e-7]),
    noise_matrix=torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.0, 0.001, 0.999]]),
)
WITHOUT_TRUTH = {**RANKED, "clean": torch.full((4,), ABSENT)}


def test_file_can_be_read_back(tmp_path):
    files = {"file": ["e.png", "b.png", "d, d.png", "a.png"]}
    write_suspects(tmp_path / "new" / "suspects.csv", suspect_columns(RANKED, JUDGED, NAMES, files))
    with (tmp_path / "new" / "suspects.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = list(csv.reader(stream))
    assert header == [
        *("rank", "index", "file", "given", "predicted", "score", "flagged", "suggested", "probability"),
        *("reason", "true"),
    ]
    first = "probably bee, honey; wrong with probability 0.99; of bee, honey, about 25% are labelled ant"
    second = "probably Käfer; wrong with probability 0.75"
    assert rows == [
        ["1", "4", "e.png", "ant", "bee, honey", "0.99", "True", "bee, honey", "0.9800", first, "unknown"],
        ["2", "1", "b.png", "bee, honey", "Käfer", "0.75", "True", "Käfer", "0.7000", second, "Käfer"],
        ["3", "3", "d, d.png", "Käfer", "bee, honey", "0.5", "False", "bee, honey", "0.5000", "", "Käfer"],
        ["4", "0", "a.png", "ant", "ant", "1e-07", "False", "Käfer", "0.0000", "", "ant"],
    ]


def test_file_has_no_column_of_true_labels_if_none_is_known():
    columns = suspect_columns(WITHOUT_TRUTH, JUDGED, NAMES, {})
    assert "true" not in columns
    assert "file" not in columns


def test_the_summary_counts_flagged_labels_by_pair_of_classes():
    found = summary(RANKED["given"], JUDGED, NAMES, RANKED["predicted"])
    assert (found["labels"], found["flagged"]) == (4, 2)
    assert found["pairs"] == [
        {"given": "ant", "suggested": "bee, honey", "flagged": 1},
        {"given": "bee, honey", "suggested": "Käfer", "flagged": 1},
    ]
    assert found["noise_matrix"]["fractions"] == [[1, 0, 0], [0.25, 0.75, 0], [0, 0.001, 0.999]]
    assert found["noise_matrix"]["classes"] == NAMES
    assert found["agreement"] == {"predicted_as_labelled": 0.25, "largest_class": 0.5}
    assert list(found["few_labels"]) == NAMES
    assert rare_classes(found["few_labels"]).startswith("Too few labels to find others that belong there, at least 5 ")
    assert rare_classes({}) == ""


@pytest.mark.parametrize(
    ("same", "largest", "doubted"), [(0.9, 0.1, False), (0.6, 0.1, True), (0.92, 0.9, True), (0.98, 0.95, False)]
)
def test_a_model_that_rarely_predicts_the_labels_is_doubted(same, largest, doubted):
    found = {"predicted_as_labelled": same, "largest_class": largest}
    assert bool(doubt(found)) == doubted


def test_agreement_is_the_fraction_of_labels_that_are_predicted():
    found = agreement(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 2]))
    assert found == {"predicted_as_labelled": 0.75, "largest_class": 0.5}


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_captioned_with_labels_in_red_if_wrong(channels):
    images = torch.randint(256, (3, channels, 5, 5), dtype=torch.uint8)
    figure = draw_suspects(RANKED, JUDGED, 2, images, NAMES)
    assert [(each.caption, each.colour) for each in drawn_images(figure)] == [
        ("given ant\nsuggested bee, honey\n(98%)\ntrue unknown", "tab:red"),
        ("given bee, honey\nsuggested Käfer\n(70%)\ntrue Käfer", "tab:red"),
        ("given Käfer\nsuggested bee, honey\n(50%)\ntrue Käfer", "black"),
    ]
    for each, image in zip(drawn_images(figure), images, strict=True):
        assert np.array_equal(each.pixels, image.permute(1, 2, 0).squeeze(-1))
    heading = "2 of 4 training labels are flagged; the 3 most suspicious"
    assert figure.get_suptitle() == f"{heading}; red: the label is wrong"


def test_nothing_is_red_without_true_labels():
    figure = draw_suspects(WITHOUT_TRUTH, JUDGED, 1, torch.zeros(2, 1, 4, 4, dtype=torch.uint8), NAMES)
    titles = [(each.caption, each.colour) for each in drawn_images(figure)]
    assert titles == [
        ("given ant\nsuggested bee, honey\n(98%)", "black"),
        ("given bee, honey\nsuggested Käfer\n(70%)", "black"),
    ]
    assert figure.get_suptitle() == "1 of 4 training labels are flagged; the 2 most suspicious"


def test_a_label_that_was_predicted_last_is_flagged_without_contradicting_itself():
    """The last prediction may be the given label, while those of all epochs speak for another class."""
    same = {**WITHOUT_TRUTH, "predicted": WITHOUT_TRUTH["given"]}
    columns = suspect_columns(same, JUDGED, NAMES, {})
    assert [columns[name][0] for name in ("given", "predicted", "flagged", "suggested")] == [
        "ant",
        "ant",
        True,
        NAMES[1],
    ]
    assert "predicted" not in columns["reason"][0]
    captions = [each.caption for each in drawn_images(draw_suspects(same, JUDGED, 2, torch.zeros(4, 1, 4, 4), NAMES))]
    assert all("predicted" not in each for each in captions)


def test_long_names_are_cut_off_so_that_captions_do_not_overlap():
    names = ["n" * 40, "short", "other"]
    (first, *_) = drawn_images(draw_suspects(WITHOUT_TRUTH, JUDGED, 1, torch.zeros(2, 1, 4, 4), names))
    # The second has a line too long for its probability.
    assert first.caption == f"given {'n' * 13}…\nsuggested short\n(98%)"


def test_short_names_have_the_probability_on_their_line():
    (first, *_) = drawn_images(draw_suspects(RANKED, JUDGED, 1, torch.zeros(2, 1, 4, 4), ["1", "2", "3"]))
    assert first.caption == "given 1\nsuggested 2 (98%)\ntrue unknown"
