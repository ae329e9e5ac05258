"""Numbers of new rows that lie far outside those of the training rows, where a model has never been."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.datamodules.counted import counted
from litzoo.datamodules.tables.columns import Column

Ranges = Mapping[str, Sequence[float]]
"""Column of numbers or dates -> the smallest and the largest of the training rows; dates in days since 1970."""


def ranges_of(columns: Sequence[Column], values: np.ndarray) -> dict[str, list[float]]:
    """Returns the ranges of the columns of numbers and dates that have a value in some training row.

    Args:
        columns: The columns, of any kind.
        values: Their numbers in the training rows, float64 `[N, A]`, NaN where missing; those of `value_names`.
    """
    ranges = {}
    for column, numbers in _numbers_of(columns, values):
        filled = numbers[~np.isnan(numbers)]
        if len(filled) and column.kind != "boolean":
            ranges[column.name] = [float(filled.min()), float(filled.max())]
    return ranges


def far_outside(numbers: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
    """Returns which numbers are further outside a range than it is wide, bool `[N]`; missing ones are not.

    Of a column with a single value in training these are all other values.

    Args:
        numbers: float64 `[N]`, NaN where missing.
        bounds: The smallest and the largest number of the training rows.
    """
    low, high = bounds
    width = max(high - low, 1e-6 * max(abs(low), abs(high)))  # float32 numbers are not exactly those of training
    return (numbers < low - width) | (numbers > high + width)


def are_plausible(numbers: np.ndarray, bounds: Sequence[float] | None) -> bool:
    """Whether most numbers read from texts, NaN where a text is none, are not far outside a range, if that is known."""
    return bounds is None or bool((far_outside(numbers, bounds) | np.isnan(numbers)).mean() <= 0.5)


def warn_of_far(columns: Sequence[Column], values: np.ndarray, ranges: Ranges, table: pd.DataFrame, where: str) -> None:
    """Warns of columns with numbers or dates far outside those of training.

    Args:
        columns: The columns of training.
        values: Their numbers in the rows, float64 `[N, A]`, see `ranges_of`.
        ranges: From `ranges_of`.
        table: The rows.
        where: Name of the table, for messages.
    """
    parts = []
    for column, numbers in _numbers_of(columns, values):
        bounds = ranges.get(column.name)
        if bounds is not None and len(rows := np.flatnonzero(far_outside(numbers, bounds))):
            cells = table[column.name]
            low, high = (_as_text(column, each) for each in bounds)
            parts.append(
                f"{column.name} in {len(rows):,} of {counted(len(cells), 'row')}, such as {cells.iloc[rows[0]]} in row "
                f"{cells.index[rows[0]]} (training: {f'always {low}' if low == high else f'{low} to {high}'})"
            )
    if parts:
        rank_zero_warn(
            f"{where}: values far outside those of the training rows: {'; '.join(parts)}. The model has seen nothing "
            "like these rows: their predictions, and how sure they are, mean little. Check decimal signs and units, "
            "and leave cells empty whose values are wrong"
        )


def _numbers_of(columns: Sequence[Column], values: np.ndarray) -> Iterator[tuple[Column, np.ndarray]]:
    """Yields each column that is not one of categories with its numbers; of a date the days, not its cycles."""
    position = 0
    for column in columns:
        if column.kind != "category":
            yield column, values[:, position]
        position += len(column.value_names)


def _as_text(column: Column, number: float) -> str:
    return str(pd.Timestamp(number, unit="D").date()) if column.kind == "date" else f"{number:.10g}"
