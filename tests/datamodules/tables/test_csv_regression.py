from pathlib import Path

import numpy as np
import pytest

from litzoo.datamodules import CSVRegressionDataModule

LINES = ["size,colour,y", *[f"{row},{'red' if row % 2 else 'blue'},{row * 2}" for row in range(20)]]


def write(lines=LINES, encoding="utf-8"):
    Path("table.csv").write_bytes("\n".join(lines).encode(encoding))


def datamodule(kind=CSVRegressionDataModule, **options):
    return kind(**{"root": ".", "file": "table.csv", "target": "y", **options})


def read(module):
    """Returns the numbers `[N, A]`, the categories `[N, B]` and the targets of all rows."""
    reading = module.fit_reading(module.frame, np.arange(len(module.frame)))
    return reading._values(module.frame, ""), reading._words(module.frame), module.target_values(module.frame)


class ByPosition(CSVRegressionDataModule):
    """A table whose parts are drawn by position, so that their sizes are exact."""

    by_content = False


def changed(row, text):
    return [*LINES[:row], text, *LINES[row + 1 :]]


def test_numbers_words_and_targets_are_told_apart():
    write(["a,w,b,y", "1,x,,10", " 2.5 ,,3,20", "-1e3,5,4,30"])
    numbers, words, targets = read(datamodule())
    np.testing.assert_array_equal(numbers, [[1, np.nan], [2.5, 3], [-1000, 4]])
    assert words.tolist() == [["x"], [""], ["5"]]
    assert targets.tolist() == [10, 20, 30]


@pytest.mark.parametrize("header", ["a,w,y", "w,y,a", "y,a,w"])
def test_the_target_may_stand_anywhere(header):
    cells = {"a": "1", "w": "x", "y": "7"}
    write([header, *[",".join(cells[name] for name in header.split(","))] * 3])
    numbers, words, targets = read(datamodule())
    assert (numbers.tolist(), words.tolist(), targets.tolist()) == ([[1]] * 3, [["x"]] * 3, [7] * 3)


def test_quoted_commas_and_line_breaks_belong_to_their_cell():
    write(['"size, in m",place,y', '1,"Rome, ""Italy""",3', '2,"Bern\nwest",4', "", '3,"Rome, ""Italy""",5'])
    numbers, words, targets = read(datamodule(drop_columns=["size, in m"]))
    assert numbers.shape == (3, 0)
    assert words[:, 0].tolist() == ['Rome, "Italy"', "Bern\nwest", 'Rome, "Italy"']
    assert targets.tolist() == [3, 4, 5]


@pytest.mark.parametrize("lines", [LINES, [line + "\r" for line in LINES]], ids=["unix", "windows"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(encoding, lines):
    write(lines, encoding)
    numbers, words, targets = read(datamodule(target="y"))
    assert numbers[:, 0].tolist() == list(range(20))
    assert set(words[:, 0]) == {"red", "blue"}
    assert targets.tolist() == list(range(0, 40, 2))
    assert read(datamodule(target="size"))[2].tolist() == list(range(20))


@pytest.mark.parametrize(
    ("dropped", "shape"), [([], (1, 1)), (["size"], (0, 1)), (["colour"], (1, 0)), (["y"], (1, 1))], ids=str
)
def test_dropped_columns_are_left_out(dropped, shape):
    write()
    numbers, words, targets = read(datamodule(drop_columns=dropped))
    assert (numbers.shape[1], words.shape[1]) == shape
    assert len(targets) == 20


@pytest.mark.parametrize(("dropped", "features"), [([], 3), (["size"], 2), (["colour"], 1)], ids=str)
def test_tables_of_words_or_of_numbers_alone_are_served(dropped, features):
    write()
    module = datamodule(ByPosition, drop_columns=dropped, val_size=2)
    assert module.input_shape == (features,)
    assert [len(part) for part in (module.train_set, module.val_set, module.test_set)] == [14, 2, 4]


def test_a_file_in_the_form_of_the_housing_table_is_served(tiny_data):
    module = datamodule(ByPosition, root=str(tiny_data), file="california_housing.csv", target="median_house_value")
    assert module.input_shape == (8 + 1 + 3,)  # numbers, the mark of absent bedrooms, words
    assert [len(part) for part in (module.train_set, module.val_set, module.test_set)] == [86, 10, 24]
