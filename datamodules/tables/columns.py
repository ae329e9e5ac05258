"""The kinds of columns, numbers, booleans, dates and categories, and the values of their cells."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

LARGEST = 1e18
"""Largest number in a column; squares of larger ones overflow float32."""
MOST_CATEGORIES = 100
"""Largest number of categories in a column."""
BOOLEANS = ({"false", "true"}, {"no", "yes"}, {"f", "t"}, {"n", "y"})
"""Pairs of words for false and true, in any case."""
PLACEHOLDERS = {"?", "-", "--", "---", ".", "..", "...", "*", "#"}
"""Marks that are missing values in a column whose other cells are numbers or dates."""
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d.%m.%y")
DATE_FORMATS = ("ISO8601", *(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")))
_LIKE_A_DATE = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?.*|\d\d?[./-]\d\d?[./-]\d{2,4}.*")
_WITH_SIGNS = re.compile(r"[+-]?[^\w\s]?\s?[+-]?\s?\d[\d.,'\s]*[^\w\s]?")
_IDENTIFIER = re.compile(r"unnamed: 0|index|(.*[ _-])?(id|uuid|guid)")
YEARS = range(1000, 2900)
"""Years of real dates: 0001-01-01 and 9999-12-31 stand for something else."""
PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""Cycles of a date in days."""

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
    cells: pd.Series, name: str, date_format: str | None = None, categorical: bool = False, where: str = "the table"
) -> Column:
    """Decides what the cells of a column are.

    Args:
        cells: Cells of all rows: text, or values of a data frame; missing ones are `None` or NaN.
        name: Name of the column.
        date_format: Format of its dates, if the user gave one.
        categorical: Whether the user says that its cells are categories, also where they are numbers.
        where: Name of the file, for messages.

    Raises:
        ValueError: If that is not certain (numbers among which there are words, dates whose day and month cannot be
            told apart), or if there are too many categories. The message names the option that settles it.
    """
    filled = cells.dropna()
    place = f"{where}: column {name!r}"
    if date_format is not None or pd.api.types.is_datetime64_any_dtype(cells):
        return _date_column(cells, name, date_format or "ISO8601", place)
    if not categorical:
        if pd.api.types.is_numeric_dtype(cells):
            return Column(name, "boolean" if pd.api.types.is_bool_dtype(cells) else "number")
        texts = _texts(filled)
        if not np.isnan(numbers := _numbers(texts)).any():
            return Column(name, "number")
        different = {text.lower() for text in texts.unique()}
        if different in BOOLEANS:
            return Column(name, "boolean")
        texts = texts[~texts.isin(PLACEHOLDERS)]
        if len(texts) and not np.isnan(numbers := _numbers(texts)).any():
            return Column(name, "number")
        if len(texts) and all(map(_LIKE_A_DATE.fullmatch, texts)):
            return _date_column(cells, name, _date_format_of(texts, name, place), place)
        if len(texts) and all(map(_WITH_SIGNS.fullmatch, texts)):
            raise ValueError(
                f"{place} has numbers with signs or separators of thousands, such as {texts.iloc[0]!r} in row "
                f"{texts.index[0]}: write plain numbers, or name the column in data.categorical_columns"
            )
        if len(texts) and np.isnan(numbers).mean() < 0.5:
            words = texts[np.isnan(numbers)]
            raise ValueError(
                f"{place} has numbers, but also {len(words):,} cells with something else; the first is "
                f"{words.iloc[0]!r} in row {words.index[0]}. If that means a missing value, name it in "
                "data.missing_values; if these are categories, name the column in data.categorical_columns"
            )
    if (count := _texts(filled).nunique()) > MOST_CATEGORIES:
        raise ValueError(
            f"{place} has {count:,} categories, more than {MOST_CATEGORIES}; name it in data.id_columns if it "
            "names the rows, else in data.drop_columns, or merge categories"
        )
    return Column(name, "category")


def values_of(column: Column, cells: pd.Series, where: str = "the table") -> np.ndarray:
    """Returns the numbers of a column that is not one of categories: float64 `[N, values]`, missing as NaN.

    A date becomes the days since 1970, and sine and cosine of each of its cycles.

    Raises:
        ValueError: If a cell is not what the column had in training, or a number is infinite or beyond 1e18.
    """
    if column.kind == "date":
        return _date_values(column, cells, where)
    if pd.api.types.is_numeric_dtype(cells):  # booleans of a data frame too
        numbers = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        texts = _texts(cells)
        numbers = _booleans(texts) if column.kind == "boolean" else _numbers(texts)
        doubtful = texts[np.isnan(numbers)]
        if len(words := doubtful[~doubtful.isin({"", *PLACEHOLDERS})]):
            kind = "numeric" if column.kind == "number" else "true or false"
            hint = ""
            if column.kind == "number" and _WITH_SIGNS.fullmatch(words.iloc[0]):
                hint = (
                    ". Write numbers without currency, unit and separators of thousands, 1234.5 or 1234,5; the decimal "
                    "sign and the separator of cells are found from the file, or set with data.decimal and "
                    "data.separator"
                )
            raise ValueError(
                f"{where}: column {column.name!r} has text, but was {kind} in training: {words.iloc[0]!r} in row "
                f"{words.index[0]}{hint}"
            )
    if (np.abs(numbers) > LARGEST).any():
        problem = "infinite numbers" if np.isinf(numbers).any() else f"numbers beyond {LARGEST:g}"
        raise ValueError(f"{where}: column {column.name!r} has {problem}; repair it, or name it in data.drop_columns")
    return numbers[:, None]


def categories_of(cells: pd.Series) -> np.ndarray:
    """Returns the cells of a column of categories as text `[N]`; a missing one is empty."""
    return _texts(cells).to_numpy(dtype=object)


def canonical_texts(frame: pd.DataFrame, skipped: Sequence[str] = ()) -> list[str]:
    """Returns each row's content as text, independent of the order of the columns and of how numbers are written.

    Args:
        frame: The rows.
        skipped: Names of columns that are not part of the content, such as the target and identifiers.
    """
    columns = []
    for name in sorted(set(frame.columns) - set(skipped)):
        texts = _texts(frame[name])
        numbers = _numbers(texts).tolist()
        shown = [repr(number) if number == number else text for text, number in zip(texts, numbers, strict=True)]
        columns.append([f"{name}={text}" for text in shown])
    return ["\x1f".join(row) for row in zip(*columns, strict=True)]


def without_missing(cells: pd.Series, missing: Collection[str]) -> pd.Series:
    """Returns cells with those that stand for a missing value as `None` or NaN, in text and in numbers.

    Args:
        cells: Text, or values of a data frame.
        missing: Cells that are missing values, as text.
    """
    if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
        return cells
    if pd.api.types.is_numeric_dtype(cells):
        numbers = _numbers(pd.Series(sorted(missing), dtype=object))
        found = cells.isin(numbers[np.isfinite(numbers)])
    else:
        found = _texts(cells).isin(missing)
    return cells.astype(object).mask(found, None) if found.any() else cells


def named_like_identifier(name: str) -> bool:
    """Whether the name of a column says that it names the rows: `id`, `customer_id`, `Unnamed: 0`, ..."""
    return bool(_IDENTIFIER.fullmatch(name.lower())) or name.endswith("Id")


def is_identifier(name: str, cells: pd.Series) -> bool:
    """Whether a column certainly only names the rows: its name says so, and no two cells are equal."""
    return named_like_identifier(name) and cells.notna().all() and cells.is_unique


def recognised(words: np.ndarray, known: Collection[str]) -> np.ndarray:
    """Returns words of a column of categories, each as training wrote it if only the form of a number differs.

    pandas reads the codes `1`, `2` as the numbers 1.0, 2.0 if a cell is missing.

    Args:
        words: Text `[N]`.
        known: Categories of training.
    """
    table = {}
    for word in set(words) - set(known):
        forms = (word.removesuffix(".0"), f"{word}.0") if word.removesuffix(".0").lstrip("-").isdecimal() else ()
        table[word] = next((form for form in forms if form in known), word)
    return np.array([table.get(word, word) for word in words], dtype=object)


def without_zeros(words: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Returns word -> category for words that are a category without its leading zeros, as `1234` for `01234`."""
    short = {each.lstrip("0"): each for each in known if each.startswith("0") and each.isdecimal()}
    return {word: short[word.removesuffix(".0")] for word in words if word.removesuffix(".0") in short}


def require_known(names: Mapping[str, Sequence[str]], columns: Sequence[str], where: str) -> None:
    """Checks that columns named in options exist.

    Args:
        names: Option -> names of columns.
        columns: Names of all columns.
        where: Name of the file, for the message.

    Raises:
        ValueError: The message names the option, the column and all columns.
    """
    for option, given in names.items():
        for name in given:
            if name not in columns:
                hint = ". If its columns have another separator, set data.separator" if len(columns) == 1 else ""
                raise ValueError(f"{where}: no column {name!r} ({option}); the columns are {', '.join(columns)}{hint}")


def _texts(cells: pd.Series) -> pd.Series:
    """Returns cells as stripped text; a missing one is empty."""
    absent = cells.isna()
    texts = ["" if gone else str(cell).strip() for cell, gone in zip(cells.astype(object), absent, strict=True)]
    return pd.Series(texts, index=cells.index, dtype=object)


def _numbers(texts: pd.Series) -> np.ndarray:
    """Returns the numbers in texts, NaN for other texts."""
    return np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)


def _booleans(texts: pd.Series) -> np.ndarray:
    words = {word: place for pair in BOOLEANS for place, word in enumerate(sorted(pair))} | {"0": 0, "1": 1}
    return np.array([words.get(text.lower(), np.nan) for text in texts], dtype=np.float64)


def _parsed(texts: pd.Series, date_format: str) -> pd.Series:
    return pd.to_datetime(texts, format=date_format, errors="coerce", utc=True)


def _date_format_of(texts: pd.Series, name: str, place: str) -> str:
    fitting = [each for each in DATE_FORMATS if not _parsed(texts, each).isna().any()]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        problem = f"dates such as {texts.iloc[0]!r}, whose day and month cannot be told apart"
    else:
        problem = f"cells such as {texts.iloc[0]!r}, which look like dates, but not all of one format"
    raise ValueError(
        f"{place} has {problem}: give the format, for example data.date_formats: {{{name}: "
        f"'{fitting[0] if fitting else '%d/%m/%Y'}'}}, or name the column in data.categorical_columns"
    )


def _date_column(cells: pd.Series, name: str, date_format: str, place: str) -> Column:
    column = Column(name, "date", date_format, tuple(PERIODS))
    days = _date_values(column, cells, place.partition(": column")[0])[:, 0]
    known = days[~np.isnan(days)]
    periods = tuple(PERIODS) if (known % 1 != 0).any() else ("year", "week")
    return Column(name, "date", date_format, periods)


def _date_values(column: Column, cells: pd.Series, where: str) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(cells):
        known = cells.notna().to_numpy()
        times = pd.to_datetime(cells, utc=True)
    else:
        texts = _texts(cells)
        known = ~texts.isin({"", *PLACEHOLDERS}).to_numpy()
        times = _parsed(texts, column.date_format)
        if (wrong := known & times.isna().to_numpy()).any():
            raise ValueError(
                f"{where}: column {column.name!r} has dates ({column.date_format}), but {texts[wrong].iloc[0]!r} in "
                f"row {texts[wrong].index[0]} is none"
            )
    years = times.dt.year.to_numpy()
    if (unreal := known & ((years < YEARS.start) | (years >= YEARS.stop))).any():
        row = cells.index[unreal][0]
        raise ValueError(
            f"{where}: column {column.name!r} has the date {str(cells[unreal].iloc[0])!r} in row {row}, which is "
            f"outside the years {YEARS.start} to {YEARS.stop - 1}: if it means a missing value, name it in "
            "data.missing_values before training, or leave such cells empty"
        )
    days = np.full(len(times), np.nan)
    seconds = (times[known] - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    days[known] = seconds.to_numpy(dtype=np.float64) / 86400
    angles = [2 * np.pi * days / PERIODS[period] for period in column.periods]
    return np.column_stack([days, *(wave(angle) for angle in angles for wave in (np.sin, np.cos))])
