import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score

from litzoo.callbacks.label_issues.ranking import (
    draw_suspects,
    outstanding,
    rank_suspects,
    ranking_quality,
    write_suspects,
)
from litzoo.callbacks.label_issues.statistics import ABSENT
from litzoo.datamodules import UNKNOWN
from tests.callbacks.drawn import drawn

NAMES = ["ant", "bee, honey", "Käfer"]


def seen(**columns):
    size = len(columns["loss"])
    labels = {name: torch.full((size,), ABSENT) for name in ("given", "believed", "clean")}
    return {**labels, "count": torch.ones(size), **{name: torch.tensor(values) for name, values in columns.items()}}


RANKED = rank_suspects(
    seen(
        loss=[2.0, 9.0, 0.0, 3.0, 4.0],
        count=[1.0, 3.0, 0.0, 1.0, 1.0],
        given=[0, 1, 2, 2, 0],
        believed=[0, 2, 0, 1, 1],
        clean=[0, 2, 0, 2, UNKNOWN],
    )
)


STANDING_OUT = outstanding(RANKED["score"])


def test_ranked_by_mean_loss_without_samples_that_were_not_seen():
    assert RANKED["index"].tolist() == [4, 1, 3, 0]  # 1 and 3 are equal: the first comes first
    assert RANKED["score"].tolist() == [4.0, 3.0, 3.0, 2.0]
    assert RANKED["given"].tolist() == [0, 1, 2, 0]
    assert RANKED["believed"].tolist() == [1, 2, 1, 0]
    assert RANKED["clean"].tolist() == [UNKNOWN, 2, 2, 0]


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9])
def test_quality_is_that_of_scikit_learn(fraction):
    random = np.random.RandomState(3)
    wrong = random.rand(500) < fraction
    score = random.randn(500) + wrong
    order = np.argsort(-score)
    quality = ranking_quality(torch.from_numpy(wrong[order]))
    called_wrong = score >= np.sort(score)[-wrong.sum()]
    assert quality["precision"] == pytest.approx(precision_score(wrong, called_wrong))
    assert quality["recall"] == pytest.approx(recall_score(wrong, called_wrong))
    assert quality["average_precision"] == pytest.approx(average_precision_score(wrong, score))


def test_there_is_no_quality_where_no_label_is_wrong():
    assert ranking_quality(torch.zeros(5, dtype=torch.bool)) == {}


@pytest.mark.parametrize("seed", range(5))
def test_those_that_stand_out_are_the_cut_with_the_least_variance_within(seed):
    random = np.random.RandomState(seed)
    scores = np.sort(np.concatenate([random.exponential(0.3, 60), 2 + random.randn(15)]))[::-1].copy()
    within = [sum(part.var() * len(part) for part in (scores[:n], scores[n:])) for n in range(1, len(scores))]
    assert outstanding(torch.from_numpy(scores)) == 1 + int(np.argmin(within))


@pytest.mark.parametrize(("scores", "expected"), [([], 0), ([3.0], 0), ([2.0] * 4, 0), ([9.0, 8.0, 1.0, 0.9, 0.8], 2)])
def test_of_equal_scores_none_stands_out(scores, expected):
    assert outstanding(torch.tensor(scores, dtype=torch.double)) == expected


def test_file_has_names_and_is_read_back(tmp_path):
    files = {"file": ["e.png", "b.png", "d, d.png", "a.png"]}
    write_suspects(tmp_path / "new" / "suspects.csv", RANKED, NAMES, files)
    with (tmp_path / "new" / "suspects.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["rank", "index", "file", "given", "believed", "score", "stands_out", "true"],
        ["1", "4", "e.png", "ant", "bee, honey", "4", str(STANDING_OUT > 0), "unknown"],
        ["2", "1", "b.png", "bee, honey", "Käfer", "3", str(STANDING_OUT > 1), "Käfer"],
        ["3", "3", "d, d.png", "Käfer", "bee, honey", "3", str(STANDING_OUT > 2), "Käfer"],
        ["4", "0", "a.png", "ant", "ant", "2", str(STANDING_OUT > 3), "ant"],
    ]


def test_file_has_no_column_of_true_labels_where_they_are_not_known(tmp_path):
    write_suspects(tmp_path / "suspects.csv", rank_suspects(seen(loss=[1.0], given=[0], believed=[1])), NAMES, {})
    assert (tmp_path / "suspects.csv").read_text().splitlines() == [
        "rank,index,given,believed,score,stands_out",
        '1,0,ant,"bee, honey",1,False',
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_carry_their_labels_and_wrong_ones_are_red(channels):
    images = torch.randint(256, (3, channels, 5, 5), dtype=torch.uint8)
    figure = draw_suspects(RANKED, images, NAMES)
    assert [(each.caption, each.colour) for each in drawn(figure)] == [
        ("given ant\nmodel bee, honey\ntrue unknown", "tab:red"),
        ("given bee, honey\nmodel Käfer\ntrue Käfer", "tab:red"),
        ("given Käfer\nmodel bee, honey\ntrue Käfer", "black"),
    ]
    for each, image in zip(drawn(figure), images, strict=True):
        assert np.array_equal(each.pixels, image.permute(1, 2, 0).squeeze(-1))
    heading = f"{STANDING_OUT} of 4 training labels stand out; the 3 most suspicious"
    assert figure.get_suptitle() == f"{heading}; red: wrong indeed"


def test_nothing_is_red_where_the_truth_is_not_known():
    ranking = rank_suspects(seen(loss=[1.0, 2.0], given=[0, 0], believed=[1, 0]))
    figure = draw_suspects(ranking, torch.zeros(2, 1, 4, 4, dtype=torch.uint8), NAMES)
    titles = [(each.caption, each.colour) for each in drawn(figure)]
    assert titles == [("given ant\nmodel ant", "black"), ("given ant\nmodel bee, honey", "black")]
    assert figure.get_suptitle() == "1 of 2 training labels stand out; the 2 most suspicious"
