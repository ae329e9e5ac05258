"""The columns of a CSV file with a header line."""

import csv
from pathlib import Path

import numpy as np

from datamodules.ordinary_files import require_file

LARGEST = 1e18
"""Squares of what is larger leave float32."""


def read_columns(path: Path, remedy: str) -> dict[str, list[str]]:
    """Returns the cells of each column, by its name.

    Args:
        path: Of the file.
        remedy: What to do where there is none.

    Raises:
        FileNotFoundError: If it cannot be read.
        ValueError: If it is no CSV file with a header and rows of the same length.
    """
    try:
        require_file(path)
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    except OSError as error:
        raise FileNotFoundError(f"{path} cannot be read ({error.strerror or error}); {remedy}") from error
    if len(rows) < 2:
        raise ValueError(f"{path}: needs a header line and rows, has {len(rows)} lines")
    header, *body = rows
    if twice := {name for name in header if header.count(name) > 1}:
        raise ValueError(f"{path}: the header names {', '.join(map(repr, sorted(twice)))} twice")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {len(row)} cells, the header {len(header)}")
    return {name: [row[column] for row in body] for column, name in enumerate(header)}


def numbers_in(cells: list[str]) -> np.ndarray | None:
    """Returns cells as numbers, empty ones NaN; `None` if a filled one is no number."""
    if any("_" in cell for cell in cells):
        return None  # Python reads 1_000 as a number, nobody else does
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells])
    except ValueError:
        return None
