import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_score

from litzoo.callbacks.pseudo_labels._quality import (
    coverage_and_accuracy,
    draw_wrong_labels,
    most_confident_wrong,
    pool_rows,
    write_pseudo_labels,
)
from litzoo.callbacks.samples import ABSENT
from litzoo.datamodules import UNKNOWN
from tests.callbacks.drawn import drawn_images

NAMES = ["ant", "bee, honey", "T-shirt/top"]


def columns(label, confidence, used, clean):
    integers = {"label": label, "used": used, "clean": clean}
    return {name: torch.tensor(values) for name, values in integers.items()} | {"confidence": torch.tensor(confidence)}


ROWS = pool_rows(
    columns(
        [1, ABSENT, 0, 2, 1, 0],
        [0.9, ABSENT, 1 / 3, 0.9, 0.99, 1.0],
        [1, ABSENT, 0, 1, 1, 1],
        [0, ABSENT, 0, 0, UNKNOWN, 0],
    )
)


def random_rows(known_fraction, seed=0, samples=400):
    random = np.random.RandomState(seed)
    label, clean = random.randint(3, size=samples), random.randint(-1, 3, size=samples)
    clean = np.where(random.rand(samples) < 0.4, label, clean)
    clean[random.rand(samples) >= known_fraction] = ABSENT
    used = random.rand(samples) < 0.3 + 0.2 * label
    return {"label": label, "clean": clean, "used": used, "confidence": random.rand(samples)}


def test_rows_are_the_samples_with_a_pseudo_label():
    assert ROWS["index"].tolist() == [0, 2, 3, 4, 5]
    assert ROWS["used"].tolist() == [True, False, True, True, True]
    assert ROWS["clean"].tolist() == [0, 0, 0, UNKNOWN, 0]


@pytest.mark.parametrize("known_fraction", [1.0, 0.5])
def test_coverage_and_accuracy_are_those_of_counting_and_of_scikit_learn(known_fraction):
    rows = random_rows(known_fraction)
    fractions = coverage_and_accuracy({name: torch.from_numpy(values) for name, values in rows.items()}, NAMES)
    label, clean, used = rows["label"], rows["clean"], rows["used"]
    evaluated = used & (clean != ABSENT)
    expected = {
        "coverage": used.mean(),
        "accuracy": precision_score(clean[evaluated], label[evaluated], average="micro"),
    }
    precision = precision_score(clean[evaluated], label[evaluated], labels=[0, 1, 2], average=None)
    class_of = np.where(clean == ABSENT, label, clean)
    for number, name in enumerate(["ant", "bee, honey", "T-shirt-top"]):
        expected |= {f"coverage/{name}": used[class_of == number].mean(), f"accuracy/{name}": precision[number]}
    expected["coverage/unknown"] = used[clean == UNKNOWN].mean()
    assert fractions == pytest.approx(expected)


def test_fractions_of_no_samples_are_left_out():
    rows = pool_rows(columns([0, 1], [0.9, 0.8], [0, 0], [0, 0]))
    assert coverage_and_accuracy(rows, NAMES) == {"coverage": 0.0, "coverage/ant": 0.0}
    rows = pool_rows(columns([0, 1], [0.9, 0.8], [1, 0], [ABSENT, ABSENT]))
    assert coverage_and_accuracy(rows, NAMES) == {"coverage": 0.5, "coverage/ant": 1.0, "coverage/bee, honey": 0.0}


def test_file_can_be_read_back(tmp_path):
    write_pseudo_labels(tmp_path / "new" / "labels.csv", ROWS, NAMES, {})
    with (tmp_path / "new" / "labels.csv").open(newline="", encoding="utf-8") as stream:
        assert list(csv.reader(stream)) == [
            ["index", "label", "confidence", "used", "true"],
            ["0", "bee, honey", "0.9", "True", "ant"],
            ["2", "ant", "0.333333", "False", "ant"],
            ["3", "T-shirt/top", "0.9", "True", "ant"],
            ["4", "bee, honey", "0.99", "True", "unknown"],
            ["5", "ant", "1", "True", "ant"],
        ]


def test_file_has_a_column_of_files_and_no_column_of_true_labels_if_none_is_known(tmp_path):
    rows, files = pool_rows(columns([0], [0.5], [1], [ABSENT])), {"file": ["a/b.png"]}
    write_pseudo_labels(tmp_path / "labels.csv", rows, NAMES, files)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines == ["index,file,label,confidence,used", "0,a/b.png,ant,0.5,True"]


def test_used_wrong_labels_are_sorted_by_confidence():
    assert most_confident_wrong(ROWS)["index"].tolist() == [4, 0, 3]  # 0 and 3 are tied
    assert not len(most_confident_wrong(pool_rows(columns([0, 1], [0.9, 0.9], [1, 0], [ABSENT, 0])))["index"])


def test_images_are_captioned_with_labels_and_confidence():
    images = torch.randint(256, (2, 3, 5, 5), dtype=torch.uint8)
    figure = draw_wrong_labels(most_confident_wrong(ROWS), images, NAMES)
    assert [each.caption for each in drawn_images(figure)] == [
        "label bee, honey\ntrue unknown\n0.9900",
        "label bee, honey\ntrue ant\n0.9000",
    ]
    for each, image in zip(drawn_images(figure), images, strict=True):
        assert np.array_equal(each.pixels, image.permute(1, 2, 0))
    assert figure.get_suptitle() == "the 2 most confident of 3 wrong pseudo-labels in use"
