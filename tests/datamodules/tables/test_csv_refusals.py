from pathlib import Path

import pytest

from tests.datamodules.tables.test_csv_regression import LINES, changed, datamodule, read, write

MANY_WORDS = ["size,colour,y", *[f"{row},word {row},{row}" for row in range(101)]]


@pytest.mark.parametrize(
    ("lines", "options", "words"),
    [
        (LINES, {"target": "price"}, ["'price'", "size, colour, y"]),
        (LINES, {"drop_columns": ["sice"]}, ["'sice'", "size, colour, y"]),
        (changed(3, "2,red,much"), {}, ["'y'", "not a number", "'much' in row 4"]),
        (changed(3, "2,red,"), {}, ["'y'", "empty"]),
        (changed(3, "2,red, "), {}, ["'y'", "empty"]),
        (changed(3, "2,red,nan"), {}, ["'y'"]),
        (changed(3, "2,red,inf"), {}, ["'y'"]),
        (changed(3, "2,red"), {}, ["row 4", "2 cells", "header 3"]),
        (changed(20, "2,red,4,5"), {}, ["row 21", "4 cells", "header 3"]),
        (LINES[2:], {}, ["'y'", "1, red, 2"]),
        (LINES[:1], {}, ["header", "1 lines"]),
        ([], {}, ["header", "0 lines"]),
        (MANY_WORDS, {}, ["'colour'", "101", "100", "drop_columns"]),
        (["size,size,y", *["1,2,3", "4,5,6"] * 5], {}, ["'size'"]),
        (["y", *"123456789"], {}, ["column"]),
        (changed(3, "inf,red,4"), {}, ["'size'"]),
    ],
    ids=[
        "no such target",
        "no such column to drop",
        "text in target",
        "empty target",
        "blank target",
        "nan target",
        "infinite target",
        "short row",
        "long row",
        "no header",
        "no rows",
        "empty file",
        "too many words",
        "a name twice",
        "nothing but the target",
        "infinite number",
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_file_and_reason(lines, options, words):
    write(lines)
    with pytest.raises(ValueError, match=r"table\.csv") as error:
        datamodule(**options).setup("fit")
    assert all(word in str(error.value) for word in words), error.value


def test_a_hundred_words_are_not_too_many():
    write(MANY_WORDS[:-1])
    assert read(datamodule())[1].shape == (100, 1)


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\0" * 1000,
        b"size,y\n" + b"\xff\xfe,1\n",
        b"PK\x03\x04\x14",
    ],
    ids=["all bytes", "png", "zeros", "broken cell", "zip"],
)
def test_binary_junk_is_refused(content):
    Path("table.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"table\.csv"):
        datamodule().setup("fit")


def test_a_cell_beyond_all_bounds_is_refused():
    write(["size,y", f'"{"x" * 200_000}",1'])
    with pytest.raises(ValueError, match=r"table\.csv is not a CSV file"):
        datamodule().setup("fit")


@pytest.mark.parametrize("file", ["absent.csv", "folder", "absent/table.csv"])
def test_an_absent_file_is_refused_with_where_it_was_looked_for(file, tmp_path):
    root = tmp_path / "data"
    (root / "folder").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"data\.file.*data\.root.*LITZOO_DATA_DIR") as error:
        datamodule(root=str(root), file=file).setup("fit")
    assert str(root / file) in str(error.value)
