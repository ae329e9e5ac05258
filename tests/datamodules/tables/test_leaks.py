"""Columns that give the target away, in tables built to have them; none in tables that are known to have none."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from litzoo.datamodules import CSVClassificationDataModule, CSVRegressionDataModule
from litzoo.datamodules.tables.leaks import _explained_by_value, _right_by_value, leaking_columns
from litzoo.datamodules.tables.reading import TableReading

ROWS = 1000


def remarks(frame, target="y", is_class=True, rows=None):
    frame = frame.astype(object).where(frame.notna(), None)
    columns = TableReading.fit(frame, target=target).columns
    return leaking_columns(frame, np.arange(len(frame)) if rows is None else rows, columns, target, is_class)


def table(seed=0):
    """Columns that say nothing of the class, which is 1 in a tenth of the rows."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "key": random.permutation(10 * ROWS)[:ROWS],
            "size": random.normal(size=ROWS),
            "place": random.choice(["town", "sea", "hill"], ROWS),
            "y": np.arange(ROWS) % 10 == 3,
        }
    ).astype({"y": int})


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (lambda y, r: np.where(y == 1, "B", "A"), "1,000 of 1,000 training rows: each of its 2 values"),
        (lambda y, r: y, "1,000 of 1,000 training rows: each of its 2 values"),
        (lambda y, r: y * 3 + r.integers(0, 3, len(y)), "each of its 6 values"),
        (lambda y, r: np.where(np.arange(len(y)) == 5, 1 - y, y), "999 of 1,000 training rows: nearly each of its 2"),
        (lambda y, r: np.where(r.random(len(y)) < 0.3, np.nan, y), "training rows where it is filled: each of its 2"),
        (lambda y, r: 0.2 - y * 5 + r.random(len(y)), "1,000 of 1,000 training rows: it is below or above -"),
        (
            lambda y, r: np.where(y == 1, (pd.Timestamp("2020-05-01") + pd.to_timedelta(y * 7, "D")).astype(str), None),
            "is empty in some rows, and that alone gives the class of 1,000 of 1,000",
        ),
    ],
)
def test_a_column_that_gives_the_class_away_is_named(leak, words):
    frame = table()
    found = remarks(frame.assign(leak=leak(frame["y"].to_numpy(), np.random.default_rng(1))))
    assert [text.split("'")[1] for text in found] == ["leak"]
    assert words in found[0]


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (lambda y, r: y, "correlation of 1.0000 in 1,000 training rows; it equals the target in 1,000"),
        (lambda y, r: 3 - 1.2 * y, "correlation of -1.0000 in 1,000 training rows; one follows"),
        (lambda y, r: np.exp(y / 4), "correlation of 1.0000"),
        (lambda y, r: y + r.normal(0, 0.01, len(y)), "correlation of 0.9999"),
    ],
)
def test_a_column_with_the_order_of_a_number_is_named(leak, words):
    random = np.random.default_rng(1)
    frame = table().assign(y=random.normal(size=ROWS))
    found = remarks(frame.assign(leak=leak(frame["y"].to_numpy(), random)), is_class=False)
    assert [text.split("'")[1] for text in found] == ["leak"]
    assert words in found[0]


def test_a_category_that_gives_a_number_away_is_named():
    frame = table()
    frame["y"] = frame["place"].map({"town": 5.5, "sea": 2.0, "hill": 9.0})
    assert remarks(frame, is_class=False) == [
        "column 'place' gives the target, with R² = 1.0000 in 1,000 training rows: its 3 values go with one number each"
    ]


@pytest.mark.parametrize("is_class", [True, False])
def test_honest_columns_of_repeated_rows_are_not_accused(is_class):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(500, 4)), columns=list("abcd"))
    frame["y"] = random.integers(0, 2, 500) if is_class else random.normal(size=500)
    assert remarks(pd.concat([frame] * 2, ignore_index=True), is_class=is_class) == []


def test_leaks_in_repeated_rows_are_found():
    frame = table()
    frame["few"] = np.where(frame["y"] == 1, "B", "A")
    frame["many"] = frame["y"] + 2 * (np.arange(ROWS) // 10 % 30)
    few, many = remarks(pd.concat([frame] * 2, ignore_index=True))
    assert "'few' gives the class of 2,000 of 2,000 training rows: each of its 2 values" in few
    assert "'many' gives the class of 1,000 of 1,000 different training rows: each of its 60 values" in many


def test_a_leak_is_found_where_few_rows_differ():
    y = np.arange(ROWS) % 2
    frame = pd.DataFrame({"flag": np.where(y == 1, "B", "A"), "place": np.where(y == 1, "sea", "hill"), "y": y})
    assert len(remarks(frame)) == 2


@pytest.mark.parametrize("is_class", [True, False])
def test_values_of_groups_are_said_to_be_perhaps_of_groups(is_class):
    random, patient = np.random.default_rng(0), np.repeat(np.arange(300), 5)
    frame = pd.DataFrame({"born": random.normal(size=300)[patient], "pulse": random.normal(size=1500)})
    frame["y"] = (random.integers(0, 2, 300) if is_class else random.normal(size=300))[patient]
    (found,) = remarks(frame, is_class=is_class)
    assert found.startswith("column 'born' gives the ")
    assert found.endswith(
        "Perhaps rows with the same value belong together, such as visits of one patient, and the split parts them"
    )


def test_only_training_rows_count():
    frame = table()
    frame["half"] = np.where(np.arange(ROWS) < 600, frame["y"], 0)
    assert len(remarks(frame, rows=np.arange(600))) == 1
    assert remarks(frame, rows=np.arange(200, ROWS)) == []


def test_rare_classes_in_a_large_table_are_looked_at():
    random = np.random.default_rng(0)
    y = np.zeros(60_000, dtype=int)
    y[random.choice(60_000, 30, replace=False)] = 1
    frame = pd.DataFrame({"size": random.normal(size=60_000), "flag": y * 2, "y": y})
    assert len(found := remarks(frame)) == 1
    assert "'flag' gives the class of 60,000 of 60,000" in found[0]


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer, load_iris, load_diabetes])
def test_tables_of_scikit_learn_have_no_leak(load):
    data = load()
    frame = pd.DataFrame(data.data, columns=data.feature_names).assign(y=data.target)
    assert remarks(frame, is_class=load is not load_diabetes) == []


def test_two_kinds_of_iris_are_told_apart_by_their_petals_without_a_leak():
    data = load_iris()
    frame = pd.DataFrame(data.data, columns=data.feature_names).assign(y=data.target)
    assert [text for text in remarks(frame[frame["y"] < 2]) if "petal length" in text] == []


def test_what_a_value_says_is_learned_from_the_other_rows():
    random = np.random.default_rng(0)
    values, labels = random.integers(0, 12, 60), random.integers(0, 3, 60)
    numbers, right, residuals = random.normal(size=60), 0, []
    for row in range(60):
        others = (values == values[row]) & (np.arange(60) != row)
        counts = np.bincount(labels[others], minlength=3)
        right += counts[labels[row]] > np.delete(counts, labels[row]).max()
        residuals.append(numbers[row] - (numbers[others].mean() if others.any() else numbers.mean()))
    assert _right_by_value(values, labels) == right > 0
    explained = 1 - np.square(residuals).sum() / np.square(numbers - numbers.mean()).sum()
    assert _explained_by_value(values, numbers) == pytest.approx(explained)
    assert _right_by_value(np.arange(60), labels) == 0


@pytest.mark.parametrize("module", [CSVClassificationDataModule, CSVRegressionDataModule])
def test_a_leak_is_warned_of_once_with_the_remedy(module):
    frame = table()
    frame.assign(code=np.where(frame["y"] == 1, "B", "A"), y=frame["y"]).to_csv("t.csv", index=False)
    with pytest.warns(UserWarning, match=r"t\.csv: column 'code' gives the .*data\.drop_columns") as caught:
        module(file="t.csv", target="y", root=".").setup("fit")
    assert len([each for each in caught if "'code'" in str(each.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module(file="t.csv", target="y", drop_columns=["code"], root=".").setup("fit")
