"""The kinds of columns, numbers, booleans, dates, categories and identifiers, and the values of their cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from litzoo.datamodules.counted import counted
from litzoo.datamodules.tables.cells import DECIMAL_COMMA, PLACEHOLDERS, missing_option, numbers_of, texts_of
from litzoo.datamodules.tables.dates import date_format_of, days_of, look_like_dates, periods_of, waves_of

LARGEST = 1e18
"""Largest number in a column; squares of larger ones overflow float32."""
MOST_CATEGORIES = 100
"""Largest number of categories in a column, unless an option limits its features."""
BOOLEANS = ({"false", "true"}, {"no", "yes"}, {"f", "t"}, {"n", "y"})
"""Pairs of words for false and true, in any case."""
BOOLEAN_WORDS = {word: place for pair in BOOLEANS for place, word in enumerate(sorted(pair))} | {"0": 0, "1": 1}
"""Word of a column of booleans, in lower case -> its number."""
FEWEST_RUNNING = 21
"""Rows from which consecutive integers, all different, are taken for a running number."""
WITH_SIGNS = re.compile(r"[+-]?[^\w\s]?\s?[+-]?\s?\d[\d.,'\s]*[^\w\s]?")
_IDENTIFIER = re.compile(r"unnamed: 0|index|(.*[ _-])?(id|uuid|guid)")

Kind = Literal["number", "boolean", "date", "category"]


@dataclass
class Column:
    """What the cells of a column are.

    Attributes:
        name: Name of the column.
        kind: Numbers; booleans (two words for false and true); dates; or categories.
        date_format: Format of dates, as in `strftime`, or `ISO8601`.
        periods: Cycles of dates that are served, of `PERIODS`; the day only if dates have times.
    """

    name: str
    kind: Kind
    date_format: str = ""
    periods: Sequence[str] = ()

    @property
    def value_names(self) -> list[str]:
        """Names of the numbers that a cell becomes; none for a category."""
        if self.kind == "category":
            return []
        cycles = [f"{self.name} ({wave} of {period})" for period in self.periods for wave in ("sine", "cosine")]
        return [self.name, *cycles]


def column_of(
    cells: pd.Series,
    name: str,
    date_format: str | None = None,
    categorical: bool = False,
    where: str = "the table",
    is_limited: bool = False,
) -> Column:
    """Decides what the cells of a column are.

    Args:
        cells: Cells of all rows: text, or values of a data frame; missing ones are `None` or NaN.
        name: Name of the column.
        date_format: Format of its dates, if the user gave one.
        categorical: Whether the user says that its cells are categories, also where they are numbers.
        where: Name of the file, for messages.
        is_limited: Whether the rarest of many categories are pooled, so that any number is accepted.

    Raises:
        ValueError: If that is not certain (numbers among which there are words, dates whose day and month cannot be
            told apart), or if there are too many categories. The message names the option that settles it.
    """
    filled = cells.dropna()
    place = f"{where}: column {name!r}"
    if date_format is not None or pd.api.types.is_datetime64_any_dtype(cells):
        return _date_column(cells, name, date_format or "ISO8601", where)
    if not categorical:
        if pd.api.types.is_numeric_dtype(cells):
            return Column(name, "boolean" if pd.api.types.is_bool_dtype(cells) else "number")
        texts = texts_of(filled)
        if not np.isnan(numbers := numbers_of(texts)).any():
            return Column(name, "number")
        different = {text.lower() for text in texts.unique()}
        if different in BOOLEANS:
            return Column(name, "boolean")
        texts = texts[~texts.isin(PLACEHOLDERS)]
        if len(texts) and not np.isnan(numbers := numbers_of(texts)).any():
            return Column(name, "number")
        if look_like_dates(texts):
            return _date_column(cells, name, date_format_of(texts, name, where), where)
        if len(texts) and all(map(WITH_SIGNS.fullmatch, texts)):
            raise ValueError(
                f"{place} has numbers with signs or separators of thousands, such as {texts.iloc[0]!r} in row "
                f"{texts.index[0]}: write plain numbers, or name the column in data.categorical_columns"
            )
        if len(texts) and np.isnan(numbers).mean() < 0.5:
            words = texts[np.isnan(numbers)]
            raise ValueError(
                f"{place} has numbers, but also {counted(len(words), 'cell')} with something else; the first "
                f"is {words.iloc[0]!r} in row {words.index[0]}. If that means a missing value, add "
                f"{missing_option(words.unique())} (NA, NaN, null and others are missing values in any case); if these "
                "are categories, name the column in data.categorical_columns"
            )
    if not is_limited and (count := texts_of(filled).nunique()) > MOST_CATEGORIES:
        raise ValueError(
            f"{place} has {count:,} categories, more than {MOST_CATEGORIES}; name it in data.id_columns if it "
            f"names the rows, or in data.drop_columns to leave it out; data.max_categories {MOST_CATEGORIES} keeps the "
            f"most frequent and pools the rarest into one, data.max_categories {count + 1} keeps all"
        )
    return Column(name, "category")


def values_of(column: Column, cells: pd.Series, where: str = "the table") -> np.ndarray:
    """Returns the numbers of a column that is not one of categories: float64 `[N, values]`, missing as NaN.

    A date becomes the days since 1970, and sine and cosine of each of its cycles.

    Raises:
        ValueError: If a cell is not what the column had in training, or a number is infinite or beyond 1e18.
    """
    if column.kind == "date":
        days = days_of(cells, column.date_format, column.name, where)
        return np.column_stack([days, *waves_of(days, column.periods)])
    if pd.api.types.is_numeric_dtype(cells):  # booleans of a data frame too
        numbers = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        if column.kind == "boolean" and (wrong := ~np.isin(numbers, (0, 1)) & ~np.isnan(numbers)).any():
            raise ValueError(
                f"{where}: column {column.name!r} was true or false in training, but has the number "
                f"{numbers[wrong][0]:g} in row {cells.index[wrong][0]}; write 0 for false and 1 for true"
            )
    else:
        texts = texts_of(cells)
        numbers = _booleans(texts) if column.kind == "boolean" else numbers_of(texts)
        doubtful = texts[np.isnan(numbers)]
        if len(words := doubtful[~doubtful.isin({"", *PLACEHOLDERS})]):
            kind = "numeric" if column.kind == "number" else "true or false"
            hint = ""
            if column.kind == "number" and DECIMAL_COMMA.fullmatch(words.iloc[0]):
                hint = (
                    ". A data frame needs decimal points: read it with pandas.read_csv(..., decimal=','), or give the "
                    "path of the CSV file instead, whose decimal sign is found; in a file, write numbers without "
                    "separators of thousands"
                )
            elif column.kind == "number" and WITH_SIGNS.fullmatch(words.iloc[0]):
                hint = ". Write numbers without currency, unit and separators of thousands, such as 1234.5"
            raise ValueError(
                f"{where}: column {column.name!r} has text, but was {kind} in training: {words.iloc[0]!r} in row "
                f"{words.index[0]}{hint}"
            )
    if (np.abs(numbers) > LARGEST).any():
        problem = "infinite numbers" if np.isinf(numbers).any() else f"numbers beyond {LARGEST:g}"
        raise ValueError(f"{where}: column {column.name!r} has {problem}; repair it, or name it in data.drop_columns")
    return numbers[:, None]


def named_like_identifier(name: str) -> bool:
    """Whether the name of a column says that it names the rows: `id`, `customer_id`, `Unnamed: 0`, ..."""
    return bool(_IDENTIFIER.fullmatch(name.lower())) or name.endswith("Id")


def is_identifier(name: str, cells: pd.Series) -> bool:
    """Whether a column certainly only names the rows: its name says so, and no two cells are equal."""
    return named_like_identifier(name) and cells.notna().all() and cells.is_unique


def useless_columns(frame: pd.DataFrame, rows: np.ndarray, columns: Sequence[Column]) -> list[str]:
    """Returns remarks on inputs from which nothing can be learned: those with a single value, and running numbers.

    Args:
        frame: Cells of all rows: the training rows are some of them, in which a running number has gaps.
        rows: Positions of the training rows.
        columns: The inputs.
    """
    cells = {column.name: _comparable(column, frame[column.name]) for column in columns}
    filled = {name: values for name, values in cells.items() if frame[name].iloc[rows].notna().any()}
    single = [name for name, values in filled.items() if len({*values[rows].tolist()}) == 1]
    running = [column.name for column in columns if column.kind == "number" and _is_running(cells[column.name])]
    remarks = {
        "a single value in all training rows, from which nothing can be learned: {}; leave such columns out with "
        "data.drop_columns": single,
        "a running number, another one in each row, which is an input: {}; if it only names the rows, list it in "
        "data.id_columns": running,
    }
    return [text.format(", ".join(names)) for text, names in remarks.items() if names]


def _comparable(column: Column, cells: pd.Series) -> np.ndarray:
    """Returns the cells as numbers or texts that are equal where they mean the same."""
    texts = texts_of(cells)
    if column.kind != "number":
        return texts.to_numpy()
    numbers = numbers_of(texts)
    # NaN differs from itself; no number is infinite.
    return np.where(np.isnan(numbers), np.inf, numbers)


def _is_running(numbers: np.ndarray) -> bool:
    """Whether numbers are consecutive integers in any order, one for each of many rows."""
    if len(numbers) < FEWEST_RUNNING or not np.isfinite(numbers).all():
        return False
    return bool((numbers % 1 == 0).all() and (np.diff(np.sort(numbers)) == 1).all())


def _booleans(texts: pd.Series) -> np.ndarray:
    return np.array([BOOLEAN_WORDS.get(text.lower(), np.nan) for text in texts], dtype=np.float64)


def _date_column(cells: pd.Series, name: str, date_format: str, where: str) -> Column:
    return Column(name, "date", date_format, periods_of(days_of(cells, date_format, name, where)))
