"""Regression on CSV files with a header line."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from litzoo.datamodules.io.paths import require_file, require_within
from litzoo.datamodules.tables.base import TableDataModule

LARGEST = 1e18
"""Largest number in a column; squares of larger ones overflow float32."""
MOST_CATEGORIES = 100
"""Largest number of categories in a column."""


def read_columns(path: Path, remedy: str) -> dict[str, list[str]]:
    """Reads a CSV file as column name -> cells.

    Args:
        path: Path of the file.
        remedy: What to do if the file is absent, for the message.

    Raises:
        FileNotFoundError: If it cannot be read.
        ValueError: If it is not a CSV file with a header and rows of the same length.
    """
    try:
        require_file(path)
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from error
    except OSError as error:
        raise FileNotFoundError(f"{path} cannot be read ({error.strerror or error}); {remedy}") from error
    if len(rows) < 2:
        raise ValueError(f"{path}: has {len(rows)} lines; it needs a header line and rows")
    header, *body = rows
    if repeated := {name for name in header if header.count(name) > 1}:
        raise ValueError(f"{path}: the header names {', '.join(map(repr, sorted(repeated)))} twice")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {len(row)} cells, the header {len(header)}")
    return {name: [row[column] for row in body] for column, name in enumerate(header)}


def numbers_in(cells: list[str]) -> np.ndarray | None:
    """Converts cells to numbers, empty ones to NaN; returns `None` if another cell is not a number."""
    if any("_" in cell for cell in cells):
        return None  # Python parses 1_000 as a number, other programs do not
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells])
    except ValueError:
        return None


class CSVRegressionDataModule(TableDataModule):
    """A CSV file with a header line and a numeric column to predict.

    A column is numeric if every cell that is not empty is a number, else categorical. Empty cells are missing values.

    Args:
        file: Name of the file, relative to `root`.
        target: Name of the column to predict.
        drop_columns: Names of columns to leave out, such as identifiers.
        predict_file: CSV file, anywhere, with rows for `predict` to use instead of the test set. It must have the
            columns used in training, in any order; further columns are ignored, including the target.
        **options: See `TableDataModule` and `BaseDataModule`.

    Raises:
        ValueError: If the file is outside of `root`.
    """

    def __init__(
        self,
        file: str,
        target: str,
        drop_columns: list[str] | None = None,
        predict_file: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.file = file
        self.target = target
        self.drop_columns = drop_columns or []
        self.predict_file = predict_file
        self._numbers: list[str] = []
        self._categories: list[str] = []
        require_within(self.root / file, self.root)

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the numeric columns, the categorical columns and the targets.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is not a CSV file with a header, a named column does not exist, a row and the header
                differ in length, the target has an empty cell or one that is not a finite number, a number is beyond
                1e18, no column is left, or a categorical column has more than 100 categories.
        """
        if not self.file:
            raise ValueError("data.file: is empty; name a CSV file")
        path = self.root / self.file
        columns = read_columns(
            path, "data.file is relative to data.root, which defaults to the environment variable LITZOO_DATA_DIR"
        )
        for name in [self.target, *self.drop_columns]:
            if name not in columns:
                hint = ". Columns are separated by commas" if len(columns) == 1 else ""
                raise ValueError(f"{path}: no column {name!r}; the columns are {', '.join(columns)}{hint}")
        values = numbers_in(cells := columns.pop(self.target))
        if values is None or not np.isfinite(values).all():
            row, cell = next(
                (row, cell)
                for row, cell in enumerate(cells, start=2)
                if (value := numbers_in([cell])) is None or not np.isfinite(value).all()
            )
            raise ValueError(
                f"{path}: the target column {self.target!r} has cells that are empty or not a number; the first is "
                f"{cell!r} in row {row}"
            )
        if np.abs(values).max() > LARGEST:
            raise ValueError(f"{path}: target column {self.target!r} has numbers beyond {LARGEST:g}; scale them")
        for name in self.drop_columns:
            columns.pop(name, None)
        self._numbers = [name for name, cells in columns.items() if numbers_in(cells) is not None]
        self._categories = [name for name in columns if name not in self._numbers]
        for name in self._categories:
            if (different := len(set(columns[name]))) > MOST_CATEGORIES:
                raise ValueError(
                    f"{path}: column {name!r} has {different} categories, more than {MOST_CATEGORIES}; name it in "
                    "data.drop_columns, or merge categories"
                )
        if not columns:
            raise ValueError(f"{path}: no column is left to predict {self.target!r} from")
        return *self._split_columns(path, columns, "name it in data.drop_columns"), values

    def read_new(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns the numeric and categorical columns of `predict_file`.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is not a CSV file with a header, lacks a column that was used in training, or has text in
                a numeric column.
        """
        if self.predict_file is None:
            return None
        path = Path(self.predict_file).expanduser()
        columns = read_columns(path, "set data.predict_file to a CSV file")
        if absent := [name for name in (*self._numbers, *self._categories) if name not in columns]:
            raise ValueError(f"{path}: no column {', '.join(map(repr, absent))}, which was used in training")
        return self._split_columns(path, columns, "repair it")

    def _split_columns(self, path: Path, columns: dict[str, list[str]], remedy: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the numeric and the categorical columns as two arrays."""
        rows = len(next(iter(columns.values())))
        numbers = np.empty((rows, len(self._numbers)))
        for place, name in enumerate(self._numbers):
            values = numbers_in(columns[name])
            if values is None:
                raise ValueError(f"{path}: column {name!r} has text, but was numeric in training")
            if (np.abs(values) > LARGEST).any():
                problem = "infinite numbers" if np.isinf(values).any() else f"numbers beyond {LARGEST:g}"
                raise ValueError(f"{path}: column {name!r} has {problem}; {remedy}")
            numbers[:, place] = values
        categories = np.empty((rows, len(self._categories)), dtype=object)
        for place, name in enumerate(self._categories):
            categories[:, place] = columns[name]
        return numbers, categories
