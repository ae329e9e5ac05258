"""Values of new rows far outside those of training, and files of new rows in another format than that of training."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from litzoo.datamodules.tables import TableReading
from litzoo.datamodules.tables.csv_files import read_table
from litzoo.datamodules.tables.ranges import are_plausible, far_outside


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return name


TRAINING = "lon;rooms;sold;south;one\n" + "".join(
    f"-{114 + row},{row}5;{1000 * (row % 4 + 1)};2020-0{row + 1}-01;{('no', 'yes')[row % 2]};7\n" for row in range(8)
)


@pytest.fixture
def reading():
    """Trained on decimal commas: longitudes -121.75 to -114.05, 1,000 to 4,000 rooms, January to August 2020."""
    frame, form = read_table(Path(write("train.csv", TRAINING)), "")
    return TableReading.fit(frame, format=form)


def test_far_is_further_outside_than_the_range_is_wide():
    numbers = np.array([-10.1, -10, 0, 20, 30, 30.1, np.nan])
    assert far_outside(numbers, (0, 10)).tolist() == [True, False, False, False, True, True, False]
    assert far_outside(np.array([7, 7.001, np.nan]), (7, 7)).tolist() == [False, True, False]
    assert are_plausible(np.array([0, 99, 5, 99]), (0, 10))
    assert not are_plausible(np.array([0, 99, np.nan]), (0, 10))
    assert are_plausible(np.array([1e9]), None)


def test_far_values_are_named_with_number_place_and_range(reading):
    frame = pd.DataFrame(
        {
            "lon": [-117230, -117.2, -118.0],
            "rooms": [2000, 7001, None],
            "sold": ["2020-03-01", "2031-05-01", "2020-03-01"],
            "south": ["yes", "no", "yes"],
            "one": [7, 8, 7],
        }
    )
    with pytest.warns(UserWarning, match="far outside") as caught:
        reading.new_tensor(frame, "new.csv")
    (message,) = [str(each.message) for each in caught]
    for text in (
        "new.csv: values far outside those of the training rows: lon in 1 of 3 rows, such as -117230.0 in row 0 "
        "(training: -121.75 to -114.05); ",
        "rooms in 1 of 3 rows, such as 7001.0 in row 1 (training: 1000 to 4000); ",
        "sold in 1 of 3 rows, such as 2031-05-01 in row 1 (training: 2020-01-01 to 2020-08-01); ",
        "one in 1 of 3 rows, such as 8 in row 1 (training: always 7). ",
    ):
        assert text in message
    assert "south" not in message


def test_a_state_without_ranges_warns_of_nothing(reading):
    state = reading.state()
    del state["ranges"]  # an earlier checkpoint
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TableReading.from_state(state).new_tensor(read_table(Path("train.csv"), "")[0].replace("7", "8"), "t")
        reading.new_tensor(read_table(Path("train.csv"), "")[0], "t")  # those of training are never far


@pytest.mark.parametrize(
    ("lon", "rooms", "expected"),
    [
        ("-117.230", "2.500", ["-117.230", "2500"]),  # only one of the columns can have separators of thousands
        ("-117,230", "2.500", ["-117.230", "2500"]),
        ("-117.2", "2500", ["-117.2", "2500"]),
        ("-117,230", "2.5", ["-117.230", "2.5"]),
        ("-117.230", "2,734", ["-117.230", "2734"]),
    ],
)
def test_the_training_rows_tell_points_from_separators_of_thousands(reading, lon, rooms, expected, capsys):
    row = f"lon;rooms;sold;south;one\n{lon};{rooms};2020-02-01;yes;7\n"
    assert reading.read(write("new.csv", row)).iloc[0, :2].tolist() == expected
    told = "new.csv: lon: points are decimal signs, as in -117.230: as thousands separators"
    assert capsys.readouterr().out.count(told) == ((lon, rooms) == ("-117.230", "2.500"))


def test_commas_between_cells_are_read_though_training_had_decimal_commas(reading, capsys):
    row = "lon,rooms,sold,south,one\n-117.230,2000,2020-02-01,yes,7\n-118.125,3000,2020-02-01,no,7\n"
    assert reading.read(write("new.csv", row)).iloc[:, 0].tolist() == ["-117.230", "-118.125"]
    quoted = row.replace("-117.230", '"-117,23"').replace("-118.125", '"-118,1"')
    assert reading.read(write("new.csv", quoted)).iloc[:, 0].tolist() == ["-117.23", "-118.1"]
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_read_says_why_not_that_columns_are_missing(reading):
    with pytest.raises(ValueError, match=r"row 2 has 6 cells, the header 5"):
        reading.read(write("new.csv", "lon,rooms,sold,south,one\n-117,2,2000,2020-02-01,yes,7\n"))


def test_the_range_decides_about_commas_too():
    frame, form = read_table(Path(write("train.csv", TRAINING.replace(",", "."))), "")
    reading = TableReading.fit(frame, format=form)
    header = "lon;rooms;sold;south;one\n"
    row = header + "-117,230;2734;2020-02-01;yes;7\n"
    assert reading.read(write("new.csv", row)).iloc[0, :2].tolist() == ["-117.230", "2734"]
    quoted = header.replace(";", ",") + '"-117,230",2734,2020-02-01,yes,7\n'
    assert reading.read(write("new.csv", quoted)).iloc[0, :2].tolist() == ["-117.230", "2734"]
    assert reading.tensor("new.csv").shape == (1, reading.num_features)


def test_quoted_decimal_commas_of_three_digits_between_commas(reading):
    row = 'lon,rooms,sold,south,one\n"-117,230",2734,2020-02-01,yes,7\n'
    assert reading.read(write("new.csv", row)).iloc[0, :2].tolist() == ["-117.230", "2734"]


def test_rounding_is_not_far_and_a_column_that_was_empty_is_told():
    table = pd.DataFrame({"always": [0.1] * 20, "empty": [None] * 20, "number": range(20)})
    with pytest.warns(UserWarning, match="'empty' is empty in all training rows"):
        reading = TableReading.fit(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reading.new_tensor(table.astype({"always": "float32"}), "t")
    with pytest.warns(UserWarning, match=r"^t: column 'empty' has values, but was empty in all training rows"):
        reading.new_tensor(table.assign(empty=5.0), "t")
