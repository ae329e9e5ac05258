"""Dates in the cells of a column: their format, and the numbers that they become."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from litzoo.datamodules.tables.cells import PLACEHOLDERS, missing_option, texts_of

_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d.%m.%y")
DATE_FORMATS = ("ISO8601", *(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")))
_LIKE_A_DATE = re.compile(r"\d{4}[-/]\d\d?[-/]\d\d?.*|\d\d?[./-]\d\d?[./-]\d{2,4}.*")
YEARS = range(1000, 2900)
"""Years of real dates: 0001-01-01 and 9999-12-31 stand for something else."""
PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""Cycles of a date in days."""


def look_like_dates(texts: pd.Series) -> bool:
    """Whether there are cells, and all of them are written like dates."""
    return len(texts) > 0 and all(map(_LIKE_A_DATE.fullmatch, texts))


def date_format_of(texts: pd.Series, name: str, where: str) -> str:
    """Returns the format of the dates in a column, as in `strftime`, or `ISO8601`.

    Args:
        texts: Its cells that are not missing, at least one.
        name: Name of the column.
        where: Name of the file, for messages.

    Raises:
        ValueError: If no format fits all cells, or several do.
    """
    fitting = [each for each in DATE_FORMATS if not _parsed(texts, each).isna().any()]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        problem = f"dates such as {texts.iloc[0]!r}, whose day and month cannot be told apart"
    else:
        problem = f"cells such as {texts.iloc[0]!r}, which look like dates, but not all of one format"
    raise ValueError(
        f"{where}: column {name!r} has {problem}: give the format, for example data.date_formats: {{{name}: "
        f"'{fitting[0] if fitting else '%d/%m/%Y'}'}}, or name the column in data.categorical_columns"
    )


def periods_of(days: np.ndarray) -> tuple[str, ...]:
    """Returns the cycles, of `PERIODS`, that dates are served with: the day only if they have times.

    Args:
        days: Days since 1970 `[N]`, NaN where missing.
    """
    known = days[~np.isnan(days)]
    return tuple(PERIODS) if (known % 1 != 0).any() else ("year", "week")


CONSTANT_WAVE = 1e-6
"""Standard deviation below which a sine or cosine is constant but for rounding, such as that of dates on Mondays."""


def waves_of(days: np.ndarray, periods: Sequence[str]) -> list[np.ndarray]:
    """Returns sine and cosine of each cycle, for days since 1970 `[N]`."""
    angles = [2 * np.pi * days / PERIODS[period] for period in periods]
    return [wave(angle) for angle in angles for wave in (np.sin, np.cos)]


def days_of(cells: pd.Series, date_format: str, name: str, where: str) -> np.ndarray:
    """Returns the days since 1970 of the dates in a column, float64 `[N]`, NaN where missing.

    Args:
        cells: Its cells.
        date_format: Their format, as in `strftime`, or `ISO8601`.
        name: Name of the column.
        where: Name of the file, for messages.

    Raises:
        ValueError: If a cell is no date of this format, or one of an impossible year.
    """
    if pd.api.types.is_datetime64_any_dtype(cells):
        known = cells.notna().to_numpy()
        times = pd.to_datetime(cells, utc=True)
    else:
        texts = texts_of(cells)
        known = ~texts.isin({"", *PLACEHOLDERS}).to_numpy()
        times = _parsed(texts, date_format)
        if (wrong := known & times.isna().to_numpy()).any():
            raise ValueError(
                f"{where}: column {name!r} has dates ({date_format}), but {texts[wrong].iloc[0]!r} in "
                f"row {texts[wrong].index[0]} is none: write all dates of the column in this format; in a training "
                "the column can also be named in data.categorical_columns or data.drop_columns"
            )
    years = times.dt.year.to_numpy()
    if (unreal := known & ((years < YEARS.start) | (years >= YEARS.stop))).any():
        row = cells.index[unreal][0]
        raise ValueError(
            f"{where}: column {name!r} has the date {str(cells[unreal].iloc[0])!r} in row {row}, which is "
            f"outside the years {YEARS.start} to {YEARS.stop - 1}: if it means a missing value, add "
            f"{missing_option([str(cells[unreal].iloc[0])])} before training, or leave such cells empty"
        )
    days = np.full(len(times), np.nan)
    seconds = (times[known] - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    days[known] = seconds.to_numpy(dtype=np.float64) / 86400
    return days


def _parsed(texts: pd.Series, date_format: str) -> pd.Series:
    return pd.to_datetime(texts, format=date_format, errors="coerce", utc=True)
