"""The cells of a column as text and as numbers, and the content of a row."""

import json
import re
import shlex
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

PLACEHOLDERS = {"?", "-", "--", "---", ".", "..", "...", "*", "#"}
"""Marks that are missing values in a column whose other cells are numbers or dates."""

THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")


def texts_of(cells: pd.Series) -> pd.Series:
    """Returns cells as stripped text; a missing one is empty."""
    absent = cells.isna()
    texts = ["" if gone else str(cell).strip() for cell, gone in zip(cells.astype(object), absent, strict=True)]
    return pd.Series(texts, index=cells.index, dtype=object)


def numbers_of(texts: pd.Series) -> np.ndarray:
    """Returns the numbers in texts, NaN for other texts."""
    return np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)


def missing_numbers(missing: Collection[str]) -> np.ndarray:
    """Returns the numbers among words for missing values, with a decimal point or comma: -999, `-999,0`."""
    commas = [word for word in map(str, missing) if DECIMAL_COMMA.fullmatch(word) and not THOUSANDS.fullmatch(word)]
    words = [*map(str, missing), *(word.replace(",", ".") for word in commas)]
    numbers = numbers_of(pd.Series(words, dtype=object))
    return numbers[np.isfinite(numbers)]


def without_missing(cells: pd.Series, missing: Collection[str]) -> pd.Series:
    """Returns cells with those that stand for a missing value as `None` or NaN, in text and in numbers.

    Args:
        cells: Text, or values of a data frame.
        missing: Cells that are missing values, as text.
    """
    if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
        return cells
    if pd.api.types.is_numeric_dtype(cells):
        found = cells.isin(missing_numbers(missing))
    else:
        texts = texts_of(cells)
        found = texts.isin(missing)
        if len(numbers := missing_numbers(missing)):
            found |= np.isin(numbers_of(texts), numbers)
    return cells.astype(object).mask(found, None) if found.any() else cells


def missing_option(words: Sequence[str]) -> str:
    """Returns the option that makes words missing values, as it is typed; of several words the first five."""
    if len(words) == 1 and re.fullmatch(r"\w[\w.,/-]*", words[0]):
        return f"--data.missing_values+={words[0]}"
    return f"--data.missing_values+={shlex.quote(json.dumps(list(words[:5]), ensure_ascii=False))}"


def canonical_texts(frame: pd.DataFrame, skipped: Sequence[str] = ()) -> list[str]:
    """Returns each row's content as text, independent of the order of the columns and of how numbers are written.

    Args:
        frame: The rows.
        skipped: Names of columns that are not part of the content, such as the target and identifiers.
    """
    columns = []
    for name in sorted(set(frame.columns) - set(skipped)):
        texts = texts_of(frame[name])
        numbers = numbers_of(texts).tolist()
        shown = [repr(number) if number == number else text for text, number in zip(texts, numbers, strict=True)]
        columns.append([f"{name}={text}" for text in shown])
    return ["\x1f".join(row) for row in zip(*columns, strict=True)]
