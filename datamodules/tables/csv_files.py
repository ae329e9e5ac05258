"""Reads CSV files as people have them: the separator, decimal sign and encoding are found where they are certain."""

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.csv_text import SEPARATORS, decoded
from litzoo.datamodules.tables.cells import missing_numbers, without_missing
from litzoo.datamodules.tables.decimals import (
    Plausible,
    doubtful_comma,
    implied_decimal,
    plain_numbers,
    shown_decimal,
    with_decimal_points,
)

MISSING = {"", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None"}
MISSING |= {"#N/A", "#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
"""Cells that stand for a missing value: those of `pandas.read_csv`."""
_SAMPLE = 200
"""Rows from which the separator is found."""


@dataclass(frozen=True)
class TableFormat:
    """How the text of a CSV file becomes cells; what is `None` is found from the file.

    Args:
        separator: Character between cells.
        decimal: Decimal sign of numbers, `.` or `,`.
        encoding: Encoding of the text, as Python names it.
        missing_values: Further cells that are missing values, beside empty ones and those of pandas.
        keep_default_missing: Whether those of pandas (`NA`, `NaN`, `null`, ...) are missing values.
        point_columns: Columns with decimal points in a file with a decimal comma; found, never given.

    Raises:
        ValueError: If the separator is not one character, the decimal sign another one, or Python does not know the
            encoding.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    missing_values: Sequence[str] = ()
    keep_default_missing: bool = True
    point_columns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise ValueError(f"data.separator: {self.separator!r} is not a separator; give one character, such as ';'")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"data.decimal: {self.decimal!r} is not a decimal sign; give '.' or ','")
        if self.decimal is not None and self.decimal == self.separator:
            raise ValueError(f"data.decimal and data.separator are both {self.decimal!r}; change one")
        try:
            "".encode(self.encoding or "utf-8")
        except LookupError:
            raise ValueError(
                f"data.encoding: Python does not know {self.encoding!r}; give for example utf-8, cp1252 or latin-1"
            ) from None

    def missing(self) -> set[str]:
        """Returns all cells that are missing values."""
        return {"", *(MISSING if self.keep_default_missing else ()), *map(str, self.missing_values)}


def read_table(
    path: Path,
    remedy: str,
    given: TableFormat | None = None,
    names: Sequence[str] = (),
    usual_decimal: str = ".",
    kept: Collection[str] | None = (),
    plausible: Plausible | None = None,
) -> tuple[pd.DataFrame, TableFormat]:
    """Reads a CSV file with a header line.

    Names and cells are stripped. A file may be compressed with gzip, and begin with a byte order mark or with Excel's
    line `sep=;`. An unnamed first column, as R and pandas write it, is called `Unnamed: 0`; other unnamed columns have
    to be empty, and are left out.

    Args:
        path: Path of the file.
        remedy: What to do if the file is absent, for the message.
        given: What is known of the format.
        names: Names of some columns: they decide between separators.
        usual_decimal: Decimal sign of a file that does not show one.
        kept: Columns that are no numbers, whose cells keep what could be separators of thousands; `None` for all.
        plausible: Whether numbers can be those of a column, see `plain_numbers`.

    Returns:
        The cells as text, `None` where a value is missing, with decimal points in numbers: `[N, columns]`, indexed by
        the number of the row in the file (the header is row 1). And the format with what was found.

    Raises:
        FileNotFoundError: If the file cannot be read.
        ValueError: If it is not a CSV file with a header and rows of the same length, or if its separator, decimal sign
            or encoding is not certain; the message names the option that settles it.
    """
    given = given or TableFormat()
    text, encoding = decoded(path, remedy, given.encoding)
    marked = re.match(r"sep=(.)\r?\n", text)
    start = marked.end() if marked else 0
    separator = given.separator or (marked[1] if marked else _separator_of(path, text, names))
    given = replace(given, separator=separator, encoding=encoding)
    usual_decimal = "." if usual_decimal == separator else usual_decimal
    header, rows, numbers = _cells(path, text[start:], separator, given.missing(), first=2 if marked else 1)
    frame = pd.DataFrame(rows, columns=header, index=numbers, dtype=object)
    for position in [at for at, name in enumerate(header) if not name]:
        if position and frame.iloc[:, position].notna().any():
            raise ValueError(f"{path}: column {position + 1} has cells, but no name in the header; name it")
    frame = frame.loc[:, [bool(name) or not at for at, name in enumerate(header)]]
    frame.columns = [name or "Unnamed: 0" for name in frame.columns]
    if (repeated := frame.columns[frame.columns.duplicated()].unique()).size:
        raise ValueError(
            f"{path}: the header names {', '.join(map(repr, sorted(repeated)))} twice; rename or remove one"
        )
    numeric = [] if kept is None else [name for name in frame.columns if name not in kept]
    shown = shown_decimal(frame, numeric)
    if not (shown or given.decimal) and plausible is not None:
        shown = implied_decimal(frame, numeric, plausible)
    if not (given.decimal or shown) and usual_decimal == ".":
        _require_certain(path, frame[numeric])
    decimal = given.decimal or shown or usual_decimal
    by_point: list[str] = []
    if decimal == "," or shown == ".":  # a point that is only usual does not tell what a comma is
        frame, by_point = plain_numbers(frame, numeric, decimal, path, plausible)
    if decimal == ",":
        frame = frame.apply(with_decimal_points)
    if len(missing_numbers(given.missing_values)):  # in whatever way they are written
        frame = frame.apply(without_missing, missing=given.missing())
    usual = "." if decimal == separator else decimal  # the numbers with commas are quoted in this file
    return frame, replace(given, decimal=usual, point_columns=tuple(by_point))


def clean_name(name: object) -> str:
    """Returns a column's name as it is compared: stripped, and in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", str(name)).strip()


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)


def _separator_of(path: Path, text: str, names: Sequence[str]) -> str:
    """Finds the separator: the header has it, and all of the first rows as often."""
    likely: dict[str, bool] = {}
    for separator in SEPARATORS:
        try:
            rows = [row for row, _ in zip(_rows(text, separator), range(_SAMPLE), strict=False) if row]
        except csv.Error:
            continue
        if rows and len(rows[0]) > 1:
            likely[separator] = len({len(row) for row in rows}) == 1
            if names and set(map(clean_name, names)) <= set(map(clean_name, rows[0])):
                return separator
    certain = [separator for separator, equal in likely.items() if equal] or list(likely)
    if len(certain) > 1:
        found = " and ".join(SEPARATORS[separator] for separator in certain)
        raise ValueError(f"{path}: its columns can be separated by {found}; choose one with data.separator")
    return certain[0] if certain else ","


def _cells(
    path: Path, text: str, separator: str, missing: set[str], first: int
) -> tuple[list[str], list[list[str | None]], list[int]]:
    """Returns the header, the rows that are not empty, missing cells as `None`, and their numbers in the file."""
    try:
        numbered = [(number, row) for number, row in enumerate(_rows(text, separator), start=first) if any(row)]
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from error
    if len(numbered) < 2:
        raise ValueError(f"{path}: has {len(numbered)} lines; it needs a header line and rows")
    (_, header), *body = numbered
    for number, row in body:
        if len(row) != len(header):
            raise ValueError(
                f"{path}: row {number} has {counted(len(row), 'cell')}, the header {len(header)} (separated by "
                f"{SEPARATORS.get(separator, repr(separator))}); repair the row, quote cells that contain the "
                "separator, remove lines before the header, or set data.separator"
            )
    rows = [[None if (text := cell.strip()) in missing else text for cell in row] for _, row in body]
    return [clean_name(name) for name in header], rows, [number for number, _ in body]


def _require_certain(path: Path, frame: pd.DataFrame) -> None:
    """Refuses commas that may be decimal signs or separators of thousands."""
    if found := doubtful_comma(frame):
        name, cell = found
        raise ValueError(
            f"{path}: column {name!r} has cells such as {cell!r}, a decimal comma or a separator of thousands; set "
            "data.decimal to ',' for the first, else remove the separators"
        )
