"""The columns of a CSV file with a header line."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from litzoo.datamodules.io.paths import require_file, require_within
from litzoo.datamodules.tables.base import TableDataModule

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


MOST_WORDS = 100


class CSVRegressionDataModule(TableDataModule):
    """Any CSV file with a header line and a column of numbers to predict.

    A column is one of numbers if every filled cell is a number, else one of words. Empty cells are missing values.

    Args:
        file: Name of the file, within `root`.
        target: Name of the column to predict.
        drop_columns: Names of columns to leave out, such as identifiers.
        predict_file: CSV file of rows that `predict` looks at instead of the test rows, wherever it is. It has the
            columns that were trained on, in any order; others are passed over, the target's too.
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
        self._words: list[str] = []
        require_within(self.root / file, self.root)

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the columns of numbers, the columns of words, and the targets.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is no CSV file with a header, a named column is not in it, rows have other lengths than
                the header, the target has an empty cell or one that is no finite number, a number is beyond 1e18, no
                column is left, or a column of words has more than 100 different ones.
        """
        if not self.file:
            raise ValueError("data.file: is empty; name a CSV file")
        path = self.root / self.file
        columns = read_columns(
            path, "data.file is looked up in data.root, or in the environment variable LITZOO_DATA_DIR"
        )
        for name in [self.target, *self.drop_columns]:
            if name not in columns:
                hint = ". Columns are separated by commas" if len(columns) == 1 else ""
                raise ValueError(f"{path}: no column {name!r}; there are {', '.join(columns)}{hint}")
        values = numbers_in(cells := columns.pop(self.target))
        if values is None or not np.isfinite(values).all():
            row, cell = next(
                (row, cell)
                for row, cell in enumerate(cells, start=2)
                if (value := numbers_in([cell])) is None or not np.isfinite(value).all()
            )
            raise ValueError(
                f"{path}: the target column {self.target!r} has cells that are empty or no number; the first is "
                f"{cell!r} in row {row}"
            )
        if np.abs(values).max() > LARGEST:
            raise ValueError(f"{path}: target column {self.target!r} has numbers beyond {LARGEST:g}; scale them")
        for name in self.drop_columns:
            columns.pop(name, None)
        self._numbers = [name for name, cells in columns.items() if numbers_in(cells) is not None]
        self._words = [name for name in columns if name not in self._numbers]
        for name in self._words:
            if (different := len(set(columns[name]))) > MOST_WORDS:
                raise ValueError(
                    f"{path}: column {name!r} has {different} different words, more than {MOST_WORDS}; name it in "
                    "data.drop_columns, or group them"
                )
        if not columns:
            raise ValueError(f"{path}: no column is left to predict {self.target!r} from")
        return *self._chosen(path, columns, "name it in data.drop_columns"), values

    def read_new(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns numbers and words of `predict_file`.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is no CSV file with a header, lacks a column that was trained on, or has words in one of
                numbers.
        """
        if self.predict_file is None:
            return None
        path = Path(self.predict_file).expanduser()
        columns = read_columns(path, "name a CSV file with data.predict_file")
        if absent := [name for name in (*self._numbers, *self._words) if name not in columns]:
            raise ValueError(f"{path}: no column {', '.join(map(repr, absent))}, which the model was trained on")
        return self._chosen(path, columns, "repair it")

    def _chosen(self, path: Path, columns: dict[str, list[str]], remedy: str) -> tuple[np.ndarray, np.ndarray]:
        """Puts the columns of numbers and those of words together."""
        rows = len(next(iter(columns.values())))
        numbers = np.empty((rows, len(self._numbers)))
        for place, name in enumerate(self._numbers):
            values = numbers_in(columns[name])
            if values is None:
                raise ValueError(f"{path}: column {name!r} has words, but the model was trained on numbers there")
            if (np.abs(values) > LARGEST).any():
                problem = "infinite numbers" if np.isinf(values).any() else f"numbers beyond {LARGEST:g}"
                raise ValueError(f"{path}: column {name!r} has {problem}; {remedy}")
            numbers[:, place] = values
        words = np.empty((rows, len(self._words)), dtype=object)
        for place, name in enumerate(self._words):
            words[:, place] = columns[name]
        return numbers, words
