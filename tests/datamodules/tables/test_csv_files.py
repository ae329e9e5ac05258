"""CSV files as spreadsheets, R, pandas and databases write them."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from litzoo.datamodules.tables.csv_files import TableFormat, read_table

PLAIN = "a,größe,y\n1.5,x,1\n-2.25,,2\n1000,z,3\n"


def read(content, written="utf-8", names=(), **given):
    Path("table.csv").write_bytes(content if isinstance(content, bytes) else content.encode(written))
    return read_table(Path("table.csv"), "", TableFormat(**given), names)


def cells(frame):
    return [list(frame.columns), *frame.values.tolist()]


EXPECTED = [["a", "größe", "y"], ["1.5", "x", "1"], ["-2.25", None, "2"], ["1000", "z", "3"]]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "utf-8-sig"),
        (PLAIN, "utf-16"),
        (PLAIN.replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace(",", ";"), "utf-8"),
        (PLAIN.replace(",", "\t"), "utf-8"),
        (PLAIN.replace(",", "|"), "utf-8"),
        (PLAIN.replace(",", ";").replace(".", ","), "utf-8"),
        ("sep=;\r\n" + PLAIN.replace(",", ";").replace(".", ",").replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace(",", " , "), "utf-8"),
        (PLAIN.replace(",", ', "').replace("\n", '"\n').replace('1.5, "', "1.5,").replace(', "x"', ',"x"'), "utf-8"),
        (PLAIN.replace(",,", ",NA,"), "utf-8"),
        (PLAIN.replace(",,", ",null,"), "utf-8"),
        (PLAIN.replace("\n", ",\n"), "utf-8"),
        (PLAIN + "\n,,\n", "utf-8"),
        (PLAIN.replace("ö", "o\u0308"), "utf-8"),
    ],
    ids=[
        *("plain", "mark", "utf-16", "windows", "semicolons", "tabs", "bars", "decimal comma", "sep=", "spaces"),
        *("quotes", "NA", "null", "empty last column", "empty last rows", "decomposed name"),
    ],
)
def test_the_same_table_is_read_from_every_form(content, encoding):
    if content.startswith('a, "'):
        content = 'a, "größe", "y"\n1.5, "x", "1"\n-2.25, "", "2"\n1000, "z", "3"\n'
    assert cells(read(content, encoding)[0]) == EXPECTED


def test_western_european_text_is_read_with_a_warning():
    with pytest.warns(UserWarning, match=r"table\.csv is not UTF-8: .*cp1252.* characters öß; .*data\.encoding"):
        frame, found = read(PLAIN, "latin-1")
    assert cells(frame) == EXPECTED
    assert found.encoding == "cp1252"
    assert cells(read(PLAIN, "latin-1", encoding="latin-1")[0]) == EXPECTED


def test_rows_are_numbered_as_in_a_spreadsheet():
    frame, _ = read('a,b\n1,"two\nlines"\n\n,\n3,x\n')
    assert list(frame.index) == [2, 5]
    assert frame["b"].tolist() == ["two\nlines", "x"]


@pytest.mark.parametrize(
    ("content", "given", "words"),
    [
        ("a;b,c\n1;2,3\n4;5,6\n", {}, ["commas and semicolons", "data.separator"]),
        ("a;y\n1,234;1\n5,678;2\n", {}, ["column 'a'", "'1,234'", "data.decimal"]),
        ("a,b\n1,2\n3\n", {}, ["row 3 has 1 cell, the header 2", "data.separator"]),
        ("a,b,c\n1,2\n", {}, ["row 2 has 2 cells, the header 3"]),
        ("a,b,a\n1,2,3\n", {}, ["'a' twice"]),
        ("a,,b\n1,2,3\n", {}, ["column 2 has cells, but no name"]),
        (b"a,b\n\x81,2\n", {}, ["not a CSV file", "data.encoding"]),
        (PLAIN.encode("utf-16-le"), {}, ["not a CSV file", "data.encoding"]),
        (PLAIN, {"encoding": "ascii"}, ["not a CSV file", "ascii", "data.encoding"]),
    ],
)
def test_what_is_not_certain_is_refused_with_the_option(content, given, words):
    with pytest.raises(ValueError, match=r"table\.csv") as error:
        read(content, **given)
    assert all(word in str(error.value) for word in words), error.value


def test_options_settle_what_is_not_certain():
    assert cells(read("a;b,c\n1;2,3\n", separator=";")[0]) == [["a", "b,c"], ["1", "2.3"]]
    assert cells(read("a;b,c\n1;2,3\n", names=["c"])[0]) == [["a;b", "c"], ["1;2", "3"]]
    assert cells(read("a;y\n1,234;1\n", decimal=",")[0]) == [["a", "y"], ["1.234", "1"]]
    assert cells(read("a,y\n-999,NA\n", missing_values=["-999"])[0]) == [["a", "y"], [None, None]]
    only = {"missing_values": ["-999"], "keep_default_missing": False}
    assert cells(read("a,y\n-999,NA\n", **only)[0]) == [["a", "y"], [None, "NA"]]


def test_commas_in_words_are_no_decimal_signs():
    frame, found = read('a;b;y\n1.5;"Rome, Italy";1\n2.5;"x,y";2\n')
    assert found.decimal == "."
    assert frame["b"].tolist() == ["Rome, Italy", "x,y"]


def test_a_comma_after_a_zero_is_a_decimal_sign():
    assert cells(read("a;y\n0,126;1\n1,500;2\n")[0]) == [["a", "y"], ["0.126", "1"], ["1.500", "2"]]


def test_an_unnamed_first_column_is_called_as_in_pandas():
    frame, _ = read(",a,b\n1,x,2\n2,y,3\n")
    assert list(frame.columns) == ["Unnamed: 0", "a", "b"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"separator": ";;"}, "data.separator: ';;'"),
        ({"decimal": "x"}, "data.decimal: 'x'"),
        ({"decimal": ",", "separator": ","}, "are both ','"),
        ({"encoding": "utf-7000"}, "data.encoding: Python does not know 'utf-7000'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        TableFormat(**options)


def test_a_compressed_file_is_read_and_a_damaged_one_refused():
    Path("plain.csv").write_text(PLAIN)
    expected, _ = read_table(Path("plain.csv"), "")
    Path("small.csv.gz").write_bytes(gzip.compress(PLAIN.encode()))
    pd.testing.assert_frame_equal(read_table(Path("small.csv.gz"), "")[0], expected)
    Path("cut.csv.gz").write_bytes(gzip.compress(PLAIN.encode())[:-12])
    with pytest.raises(ValueError, match=r"cut\.csv\.gz is no intact gzip file"):
        read_table(Path("cut.csv.gz"), "")
