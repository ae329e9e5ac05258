"""The fitted preprocessing of a table, against scikit-learn's own transformers and values computed by hand."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from litzoo.datamodules.tables.csv_files import read_table
from litzoo.datamodules.tables.reading import TableReading


def table(rows=200, seed=0):
    random = np.random.RandomState(seed)
    age, size = random.randint(18, 90, rows).astype(float), random.normal(100, 30, rows)
    age[random.rand(rows) < 0.1] = np.nan
    colour = np.array(["red", "green", None, "dark blue"], dtype=object)[random.randint(4, size=rows)]
    return pd.DataFrame({"age": age, "colour": colour, "size": size, "y": size * 2})


def fitted(frame=None, rows=range(120), **options):
    return TableReading.fit(table() if frame is None else frame, list(rows), target="y", **options)


def restored(reading):
    return TableReading.from_state(json.loads(json.dumps(reading.state())))


def test_inputs_equal_those_of_scikit_learn():
    frame = table()
    words = frame["colour"].fillna("").to_numpy(dtype=object)[:, None]
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    expected = ColumnTransformer([("n", numbers, [0, 1]), ("w", OneHotEncoder(handle_unknown="ignore"), [2])])
    joined = np.concatenate([frame[["age", "size"]].to_numpy(dtype=object), words], axis=1)
    expected.fit(joined[:120])
    inputs = fitted(frame).tensor(frame)
    assert inputs.dtype == torch.float32
    np.testing.assert_array_equal(inputs.numpy(), expected.transform(joined).astype(np.float32))


def test_it_is_restored_from_plain_values_to_the_bit(tmp_path):
    reading = fitted()
    torch.save(reading.state(), tmp_path / "state")
    other = TableReading.from_state(torch.load(tmp_path / "state", weights_only=True))
    for each in (other, restored(reading)):
        assert torch.equal(each.tensor(table(seed=1)), reading.tensor(table(seed=1)))
        assert each.state() == reading.state()
        assert each.num_features == reading.num_features == reading.tensor(table()).shape[1]


def test_a_csv_file_and_the_same_data_frame_give_the_same_inputs():
    frame = table()
    frame.to_csv("table.csv", index=False)
    assert torch.equal(fitted(frame).tensor("table.csv"), fitted(frame).tensor(frame))


def test_columns_are_found_by_name_in_any_order():
    reading, frame = fitted(), table(seed=2)
    shuffled = frame[["size", "y", "age", "colour"]].rename(columns={"age": " age "})
    assert torch.equal(reading.tensor(shuffled), reading.tensor(frame))
    assert torch.equal(reading.tensor(frame.drop(columns="y")), reading.tensor(frame))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns=["age", "colour"]), ["no column 'age', 'colour'", "used in training"]),
        (lambda frame: frame.rename(columns={"colour": "color"}), ["is 'color' the renamed 'colour'"]),
        (
            lambda frame: frame.assign(weight=1),
            ["column 'weight' did not exist in training", "columns used: age, colour, size"],
        ),
        (
            lambda frame: frame.drop(columns="age").rename(columns={"colour": "Color", "size": "much"}),
            [
                "no column 'age', 'colour', 'size', which was used in training; is 'Color' the renamed 'colour'?\n",
                "\ncolumn 'Color', 'much' did not exist in training; rename or remove it\n",
                "if the values of one are not known, add it with empty cells",
                "\ncolumns used: age, colour, size",
            ],
        ),
        (lambda frame: frame.assign(age="old"), ["column 'age' has text, but was numeric", "'old' in row 0"]),
        (lambda frame: frame.assign(age=np.inf), ["column 'age' has infinite numbers"]),
        (lambda frame: pd.concat([frame, frame[["age"]]], axis=1), ["the column 'age' twice"]),
    ],
    ids=["missing", "renamed", "new", "both", "text", "infinite", "twice"],
)
def test_other_columns_are_refused_by_name(change, words):
    with pytest.raises(ValueError, match="new rows: ") as error:
        restored(fitted()).tensor(change(table()), "new rows")
    assert all(word in str(error.value) for word in words), error.value


def test_columns_that_are_empty_only_in_new_rows_are_filled_in_and_warned_of():
    frame = table().assign(day="2020-01-31", smokes="yes", none=None, plain=["a", "b"] * 100)
    frame.loc[::2, ["day", "smokes"]] = ["2021-03-01", "no"]
    with pytest.warns(UserWarning, match="'none' is empty in all training rows"):
        reading = fitted(frame)
    names = ["age", "colour", "day", "smokes", "plain"]
    new = frame[["none", "size"]].reindex(columns=["none", "size", *names]).head(5)
    new.to_csv("new.csv", index=False)
    for rows in (new, reading.read("new.csv")):
        inputs = reading.tensor(rows)
        with pytest.warns(UserWarning, match="new rows") as caught:
            restored(reading).new_tensor(rows, "new rows")
        warning, unseen = caught
        assert "'plain' has categories in 5 of 5 rows" in str(unseen.message)  # training had no empty cell of it
        assert "new rows: column 'age', 'colour', 'day', 'smokes', 'plain' is empty in all rows" in str(warning.message)
        age, _ = reading.feature_groups["age"]
        expected = (np.nanmedian(frame["age"][:120]) - reading.means[age]) / reading.scales[age]
        assert inputs[:, age].tolist() == pytest.approx([expected] * 5)
        assert inputs[:, reading.feature_groups["colour"]].sum(dim=1).tolist() == [1] * 5  # a category of its own
        assert inputs[:, reading.feature_groups["plain"]].sum(dim=1).tolist() == [0] * 5


def test_an_empty_cell_of_a_single_row_is_no_empty_column(recwarn):
    fitted().new_tensor(table().assign(size=np.nan).head(1), "new rows")
    assert not [each for each in recwarn if "empty" in str(each.message)]


def test_features_are_named_by_their_columns():
    assert fitted().feature_groups == {"age": [0, 2], "colour": [3, 4, 5, 6], "size": [1]}


def csv_table(text, **options):
    Path("table.csv").write_text(text, encoding="utf-8")
    frame, _ = read_table(Path("table.csv"), "")
    return TableReading.fit(frame, target="y", **options), frame


def test_booleans_become_one_number():
    reading, frame = csv_table("smokes,sport,y\nTrue,yes,1\nFALSE,no,2\ntrue,,3\nfalse,Yes,4\n")
    assert [column.kind for column in reading.columns] == ["boolean", "boolean"]
    inputs = reading.tensor(frame)
    assert inputs[:, 0].tolist() == [1, -1, 1, -1]
    assert inputs[:, 2].unique().numel() == 2  # which cells of `sport` are missing
    with pytest.raises(ValueError, match=r"'smokes' has text, but was true or false in training: 'maybe' in row 3"):
        reading.tensor(frame.assign(smokes=["true", "maybe", "false", "true"]))


@pytest.mark.parametrize(
    "cells",
    [
        ["2020-01-31", "2021-02-01", "", "1969-12-31"],
        ["31.01.2020", "1.2.2021", "", "31.12.1969"],
        ["31/01/2020", "01/02/2021", "", "31/12/1969"],
        ["01/31/2020", "02/01/2021", "?", "12/31/1969"],
    ],
)
def test_dates_become_days_and_their_cycles(cells):
    reading, frame = csv_table("day,y\n" + "".join(f"{cell},{row}\n" for row, cell in enumerate(cells)))
    (column,) = reading.columns
    assert (column.kind, list(column.periods)) == ("date", ["year", "week"])
    days = np.array([18292, 18659, np.nan, -1])
    angles = 2 * np.pi * days / 7
    values = reading._values(frame, "")
    np.testing.assert_allclose(values[:, 0], days)
    np.testing.assert_allclose(values[:, 3:], np.stack([np.sin(angles), np.cos(angles)], axis=1))
    assert reading.tensor(frame).isfinite().all()


def test_times_add_the_cycle_of_a_day_and_data_frames_may_have_them():
    reading, frame = csv_table("at,y\n2020-01-01 06:00:00,1\n2020-01-02 12:00:00,2\n2020-01-02T18:00:00+00:00,3\n")
    assert list(reading.columns[0].periods) == ["year", "week", "day"]
    np.testing.assert_allclose(reading._values(frame, "")[:, 5], [1, 0, -1], atol=1e-9)
    times = frame.assign(at=pd.to_datetime(["2020-01-01 06:00", "2020-01-02 12:00", "2020-01-02 18:00"]))
    assert torch.equal(reading.tensor(times), reading.tensor(frame))


def test_days_and_months_that_cannot_be_told_apart_are_refused_with_the_option():
    text = "day,y\n01/02/2020,1\n03/04/2020,2\n"
    with pytest.raises(ValueError, match=r"column 'day' has dates such as '01/02/2020'.*data\.date_formats: \{day:"):
        csv_table(text)
    days = {
        given: csv_table(text, date_formats={"day": given})[0]._values(
            csv_table(text, date_formats={"day": given})[1], ""
        )
        for given in ("%d/%m/%Y", "%m/%d/%Y")
    }
    assert days["%d/%m/%Y"][0, 0] == 18293
    assert days["%m/%d/%Y"][0, 0] == 18263


def test_dates_in_two_formats_are_refused_with_the_way_out_also_after_one_format_is_given():
    text = "day,y\n01/02/2020,1\n2020-03-06,2\n"
    with pytest.raises(ValueError, match=r"not all of one format: give .*data\.date_formats: \{day: '%d/%m/%Y'\}"):
        csv_table(text)
    remedy = r"write all dates of the column in this format; .* data\.categorical_columns or data\.drop_columns"
    with pytest.raises(ValueError, match=rf"'2020-03-06' in row 3 is none: {remedy}"):
        csv_table(text, date_formats={"day": "%d/%m/%Y"})


def test_a_few_words_among_numbers_are_refused_and_a_placeholder_is_a_missing_value():
    for words, typed in (
        (["k,A,"] * 2, "k,A,"),
        (["- a"] * 2, """'["- a"]'"""),
        (["don't", "x"], """'["don'"'"'t", "x"]'"""),
    ):
        with pytest.raises(ValueError, match=r"'age' has numbers, but also 2 cells .* in row 2") as error:
            csv_table('age,y\n"' + '",1\n"'.join([*words, *"12345"]) + '",1\n')
        assert f"add --data.missing_values+={typed} (NA, NaN, null and others are" in str(error.value)
    reading, frame = csv_table("age,y\n1,1\n2,2\n?,3\n4,4\n")
    assert reading.tensor(frame).shape == (4, 2)
    reading, frame = csv_table("code,y\n1,1\n2,2\n2b,3\n", categorical=["code"])
    assert reading.categories == [["1", "2", "2b"]]


@pytest.mark.parametrize(
    "cells", [["$1.50", "$20"], ["12 %", "7%"], ["1.234,5", "2.5"], ["1'000", "20"], ["-€5", "€1"]]
)
def test_numbers_with_signs_are_not_taken_for_categories(cells):
    text = "price;y\n" + "".join(f"{cell};{row}\n" for row, cell in enumerate(cells))
    with pytest.raises(ValueError, match=r"column 'price' has numbers with signs .*in row 2.*categorical_columns"):
        csv_table(text)
    assert csv_table(text, categorical=["price"])[0].categories == [sorted(cells)]


def test_an_unseen_category_is_encoded_as_zeros_with_a_warning():
    reading, frame = fitted(), table().assign(colour="violet")
    assert not reading.tensor(frame)[:, 3:].any()
    with pytest.warns(UserWarning, match=r"new\.csv: column 'colour' has categories in 200 of 200 rows .*: 'violet'"):
        reading.new_tensor(frame, "new.csv")


def test_numbers_written_differently_are_the_same_categories_of_a_data_frame():
    text = "code,y\n10,1\n20,2\n20,3\n"
    reading, frame = csv_table(text, categorical=["code"])
    assert torch.equal(reading.tensor(pd.read_csv(io.StringIO(text))), reading.tensor(frame))


@pytest.mark.parametrize(
    ("training", "new"),
    [
        ([f"{day:%Y-%m-%d}" for day in pd.date_range("2012-01-02", periods=300, freq="7D")], "2018-01-09"),
        ([f"2020-07-{day:02}T00:00:00+02:00" for day in range(1, 31)], "2021-07-02T00:00:00+01:00"),
    ],
    ids=["Mondays, then a Tuesday", "midnights of one time zone, then of another"],
)
def test_dates_outside_a_constant_cycle_of_training_are_no_huge_inputs(training, new):
    reading = TableReading.fit(pd.DataFrame({"day": training}))
    assert reading.tensor(pd.DataFrame({"day": training})).abs().max() < 4
    inputs = reading.tensor(pd.DataFrame({"day": [new]}))[0]
    assert inputs[1:].abs().max() < 20  # the first one, the days since 1970, may be far away


def test_a_number_that_is_neither_true_nor_false_is_refused():
    reading = TableReading.fit(pd.DataFrame({"garden": ["yes", "no", "yes"]}))
    expected = reading.tensor(pd.DataFrame({"garden": ["yes", "no", None]}))
    assert torch.equal(reading.tensor(pd.DataFrame({"garden": [1.0, 0.0, np.nan]})), expected)
    with pytest.raises(ValueError, match="'garden' was true or false in training, but has the number 2 in row 1"):
        reading.tensor(pd.DataFrame({"garden": [1, 2]}))
