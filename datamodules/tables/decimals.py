"""The decimal sign of a table's numbers, and the separators of thousands in them."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only

from litzoo.datamodules.tables.cells import DECIMAL_COMMA, PLACEHOLDERS, THOUSANDS, numbers_of

Plausible = Callable[[str, np.ndarray], bool]
"""Tells whether numbers `[n]`, NaN where a text is none, can be those of the column with this name."""
_OTHER = {",": ".", ".": ","}
_NAMES = {",": "commas", ".": "points"}
_PLAIN = {",": DECIMAL_COMMA, ".": re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")}
"""Decimal sign -> numbers with it, without separators of thousands."""
_GROUPS = {",": THOUSANDS, ".": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")}
"""Sign -> numbers whose thousands it may separate."""
_GROUPED = {sign: re.compile(rf"{_GROUPS[other].pattern}(\{sign}\d*)?") for sign, other in _OTHER.items()}
"""Decimal sign -> numbers in which the other one separates thousands."""


def shown_decimal(frame: pd.DataFrame, numbers: Sequence[str]) -> str | None:
    """Returns the decimal sign that the cells prove; `None` if they have none, or one that may separate thousands.

    A comma in any column decides, even if others have decimal points.

    Args:
        frame: Cells as text, `None` where a value is missing.
        numbers: Columns that can prove a decimal point: others may be versions or codes.
    """
    if any(_proves(frame[name], ",") for name in frame):
        return ","
    if any(_proves(frame[name], ".") or _has_several_groups(frame[name], ",") for name in numbers):
        return "."
    return None


def implied_decimal(frame: pd.DataFrame, numbers: Sequence[str], plausible: Plausible) -> str | None:
    """Returns the decimal sign without which the numbers of a column are not plausible; `None` if none is needed.

    A decimal point is only looked for beside commas: in a file without them, each column decides for itself.

    Args:
        frame: Cells as text.
        numbers: Columns that can be numbers.
        plausible: Whether numbers can be those of a column.
    """
    signs = (",", ".") if any(_with_sign(frame[name], ",") for name in numbers) else ()
    for sign in signs:
        for name in numbers:
            grouped = _with_sign(frame[name], sign)
            are_groups = bool(grouped) and all(map(_GROUPED[_OTHER[sign]].fullmatch, grouped))
            if are_groups and _is_decimal(name, grouped, sign, _OTHER[sign], plausible):
                return sign
    return None


def doubtful_comma(frame: pd.DataFrame) -> tuple[str, str] | None:
    """Returns a column, and a cell of it, whose commas are decimal signs or separate thousands, if there is one."""
    for name in frame:
        with_comma = _with_sign(frame[name], ",")
        if with_comma and all(map(DECIMAL_COMMA.fullmatch, with_comma)):
            return str(name), with_comma[0]
    return None


def plain_numbers(
    frame: pd.DataFrame, numbers: Sequence[str], decimal: str, path: Path, plausible: Plausible | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Removes separators of thousands from the columns in which the other sign than the decimal one is nothing else.

    A line is printed for each of them: the numbers are a thousand times what another reader may take them for.

    Args:
        frame: Cells as text.
        numbers: Columns that can be numbers.
        decimal: The decimal sign.
        path: Path of the file, for the lines.
        plausible: Whether numbers can be those of a column. Where they can only if the sign is a decimal one after all,
            it stays.

    Returns:
        The cells; and the columns of `numbers` that have decimal points although `decimal` is a comma.
    """
    plain, mark, by_point = frame.copy(), _OTHER[decimal], []
    for name in numbers:
        grouped = _with_sign(frame[name], mark)
        if not grouped or not all(map(_GROUPED[decimal].fullmatch, grouped)):
            continue
        if plausible is not None and _is_decimal(name, grouped, mark, decimal, plausible):
            by_point.append(name)
            cells = [cell.replace(mark, ".") if cell else cell for cell in frame[name]]
            plain[name] = pd.Series(cells, index=frame.index, dtype=object)
            _print(
                f"{path}: {name}: {_NAMES[mark]} are decimal signs, as in {grouped[0]}: as thousands separators they "
                "would make numbers far outside those of training"
            )
            continue
        cells = [cell.replace(mark, "") if cell else cell for cell in frame[name]]
        if _are_mostly_numbers(cells, decimal):
            plain[name] = pd.Series(cells, index=frame.index, dtype=object)
            example = f"{grouped[0]} is {grouped[0].replace(mark, '')}"
            _print(f"{path}: {name}: {_NAMES[mark]} are thousands separators, {example}")
    proven = [name for name in numbers if name in by_point or _proves(frame[name], ".")]
    return plain, proven if decimal == "," else []


def with_decimal_points(cells: pd.Series) -> pd.Series:
    """Returns cells with a decimal point instead of a comma in those that are numbers."""
    changed = [
        cell.replace(",", ".") if cell and "," in cell and DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells
    ]
    return pd.Series(changed, index=cells.index, dtype=object)


def _with_sign(cells: pd.Series, sign: str) -> list[str]:
    return [cell for cell in cells if cell and sign in cell]


def _proves(cells: pd.Series, sign: str) -> bool:
    """Whether all cells with a sign are numbers, and it cannot separate thousands in some of them."""
    found = _with_sign(cells, sign)
    are_numbers = all(_PLAIN[sign].fullmatch(cell) or _GROUPED[sign].fullmatch(cell) for cell in found)
    return are_numbers and not all(map(_GROUPS[sign].fullmatch, found))


def _is_decimal(name: str, grouped: Sequence[str], mark: str, decimal: str, plausible: Plausible) -> bool:
    """Whether the numbers of a column are plausible only if a mark in them is a decimal sign, and separates nothing."""
    separated = [cell.replace(mark, "").replace(decimal, ".") for cell in grouped]
    pointed = [cell.replace(mark, ".") for cell in grouped]
    as_separator, as_decimal = (
        plausible(name, numbers_of(pd.Series(each, dtype=object))) for each in (separated, pointed)
    )
    return as_decimal and not as_separator


def _has_several_groups(cells: pd.Series, sign: str) -> bool:
    """Whether a sign separates thousands: it does in each cell that has it, and one has it twice."""
    found = _with_sign(cells, sign)
    return all(map(_GROUPS[sign].fullmatch, found)) and any(cell.count(sign) > 1 for cell in found)


def _are_mostly_numbers(cells: Sequence[str | None], decimal: str) -> bool:
    """Whether more than half of the filled cells are numbers; else they are categories, whose text stays."""
    texts = [cell.replace(decimal, ".") for cell in cells if cell and cell not in PLACEHOLDERS]
    return bool(np.isnan(numbers_of(pd.Series(texts, dtype=object))).mean() < 0.5)


_print = rank_zero_only(print)
