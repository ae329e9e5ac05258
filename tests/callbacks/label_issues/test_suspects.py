import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score

from litzoo.callbacks.label_issues.ranking import (
    count_flagged,
    draw_suspects,
    rank_suspects,
    ranking_quality,
    write_suspects,
)
from litzoo.callbacks.label_issues.statistics import ABSENT
from litzoo.datamodules import UNKNOWN
from tests.callbacks.drawn import drawn_images

NAMES = ["ant", "bee, honey", "Käfer"]


def seen(**columns):
    size = len(columns["loss"])
    labels = {name: torch.full((size,), ABSENT) for name in ("given", "predicted", "clean")}
    return {**labels, "count": torch.ones(size), **{name: torch.tensor(values) for name, values in columns.items()}}


RANKED = rank_suspects(
    seen(
        loss=[2.0, 9.0, 0.0, 3.0, 4.0],
        count=[1.0, 3.0, 0.0, 1.0, 1.0],
        given=[0, 1, 2, 2, 0],
        predicted=[0, 2, 0, 1, 1],
        clean=[0, 2, 0, 2, UNKNOWN],
    )
)
FLAGGED = count_flagged(RANKED["score"])


def test_samples_that_were_seen_are_ranked_by_mean_loss():
    assert RANKED["index"].tolist() == [4, 1, 3, 0]  # 1 and 3 have the same loss, in the order of the training set
    assert RANKED["score"].tolist() == [4.0, 3.0, 3.0, 2.0]
    assert RANKED["given"].tolist() == [0, 1, 2, 0]
    assert RANKED["predicted"].tolist() == [1, 2, 1, 0]
    assert RANKED["clean"].tolist() == [UNKNOWN, 2, 2, 0]


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9])
def test_quality_is_that_of_scikit_learn(fraction):
    random = np.random.RandomState(3)
    wrong = random.rand(500) < fraction
    score = random.randn(500) + wrong
    order = np.argsort(-score)
    quality = ranking_quality(torch.from_numpy(wrong[order]))
    predicted_wrong = score >= np.sort(score)[-wrong.sum()]
    assert quality["precision"] == pytest.approx(precision_score(wrong, predicted_wrong))
    assert quality["recall"] == pytest.approx(recall_score(wrong, predicted_wrong))
    assert quality["average_precision"] == pytest.approx(average_precision_score(wrong, score))


def test_there_is_no_quality_without_wrong_labels():
    assert ranking_quality(torch.zeros(5, dtype=torch.bool)) == {}


@pytest.mark.parametrize("seed", range(5))
def test_flagged_samples_are_the_split_with_the_least_variance_within_groups(seed):
    random = np.random.RandomState(seed)
    scores = np.sort(np.concatenate([random.exponential(0.3, 60), 2 + random.randn(15)]))[::-1].copy()
    within = [sum(part.var() * len(part) for part in (scores[:n], scores[n:])) for n in range(1, len(scores))]
    assert count_flagged(torch.from_numpy(scores)) == 1 + int(np.argmin(within))


@pytest.mark.parametrize(("scores", "expected"), [([], 0), ([3.0], 0), ([2.0] * 4, 0), ([9.0, 8.0, 1.0, 0.9, 0.8], 2)])
def test_count_flagged_by_hand(scores, expected):
    assert count_flagged(torch.tensor(scores, dtype=torch.double)) == expected


def test_file_can_be_read_back(tmp_path):
    files = {"file": ["e.png", "b.png", "d, d.png", "a.png"]}
    write_suspects(tmp_path / "new" / "suspects.csv", RANKED, NAMES, files)
    with (tmp_path / "new" / "suspects.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["rank", "index", "file", "given", "predicted", "score", "flagged", "true"],
        ["1", "4", "e.png", "ant", "bee, honey", "4", str(FLAGGED > 0), "unknown"],
        ["2", "1", "b.png", "bee, honey", "Käfer", "3", str(FLAGGED > 1), "Käfer"],
        ["3", "3", "d, d.png", "Käfer", "bee, honey", "3", str(FLAGGED > 2), "Käfer"],
        ["4", "0", "a.png", "ant", "ant", "2", str(FLAGGED > 3), "ant"],
    ]


def test_file_has_no_column_of_true_labels_if_none_is_known(tmp_path):
    write_suspects(tmp_path / "suspects.csv", rank_suspects(seen(loss=[1.0], given=[0], predicted=[1])), NAMES, {})
    assert (tmp_path / "suspects.csv").read_text().splitlines() == [
        "rank,index,given,predicted,score,flagged",
        '1,0,ant,"bee, honey",1,False',
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_captioned_with_labels_in_red_if_wrong(channels):
    images = torch.randint(256, (3, channels, 5, 5), dtype=torch.uint8)
    figure = draw_suspects(RANKED, images, NAMES)
    assert [(each.caption, each.colour) for each in drawn_images(figure)] == [
        ("given ant\npredicted bee, honey\ntrue unknown", "tab:red"),
        ("given bee, honey\npredicted Käfer\ntrue Käfer", "tab:red"),
        ("given Käfer\npredicted bee, honey\ntrue Käfer", "black"),
    ]
    for each, image in zip(drawn_images(figure), images, strict=True):
        assert np.array_equal(each.pixels, image.permute(1, 2, 0).squeeze(-1))
    heading = f"{FLAGGED} of 4 training labels are flagged; the 3 most suspicious"
    assert figure.get_suptitle() == f"{heading}; red: the label is wrong"


def test_nothing_is_red_without_true_labels():
    ranking = rank_suspects(seen(loss=[1.0, 2.0], given=[0, 0], predicted=[1, 0]))
    figure = draw_suspects(ranking, torch.zeros(2, 1, 4, 4, dtype=torch.uint8), NAMES)
    titles = [(each.caption, each.colour) for each in drawn_images(figure)]
    assert titles == [("given ant\npredicted ant", "black"), ("given ant\npredicted bee, honey", "black")]
    assert figure.get_suptitle() == "1 of 2 training labels are flagged; the 2 most suspicious"
