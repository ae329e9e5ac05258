import csv
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.ordinary_files import require_file
from datamodules.table import TableDataModule
from datamodules.within import require_within

MOST_WORDS = 100
LARGEST = 1e18
"""Squares of what is larger leave float32."""


class CSVRegressionDataModule(TableDataModule):
    """Any CSV file with a header line and a column of numbers to predict.

    A column is one of numbers if every filled cell is a number, else one of words. Empty cells are missing values.

    Args:
        file: Name of the file, within `root`.
        target: Name of the column to predict.
        drop_columns: Names of columns to leave out, such as identifiers.
        **options: See `TableDataModule` and `BaseDataModule`.

    Raises:
        ValueError: If the file is outside of `root`.
    """

    def __init__(self, file: str, target: str, drop_columns: list[str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.file = file
        self.target = target
        self.drop_columns = drop_columns or []
        require_within(self.root / file, self.root)

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the columns of numbers, the columns of words, and the targets.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is no CSV file with a header, a named column is not in it, rows have other lengths than
                the header, the target has an empty cell or one that is no finite number, a number is beyond 1e18, no
                column is left, or a column of words has more than 100 different ones.
        """
        columns = self._columns()
        for name in [self.target, *self.drop_columns]:
            if name not in columns:
                hint = ". Columns are separated by commas" if len(columns) == 1 else ""
                raise ValueError(f"{self._path}: no column {name!r}; there are {', '.join(columns)}{hint}")
        values = _numbers(columns.pop(self.target))
        if values is None or not np.isfinite(values).all():
            raise ValueError(f"{self._path}: the target column {self.target!r} has cells that are empty or no number")
        if np.abs(values).max() > LARGEST:
            raise ValueError(f"{self._path}: target column {self.target!r} has numbers beyond {LARGEST:g}; scale them")
        for name in self.drop_columns:
            columns.pop(name, None)
        numbers, words = [], []
        for name, cells in columns.items():
            parsed = _numbers(cells)
            if parsed is not None and (np.abs(parsed) > LARGEST).any():
                problem = "infinite numbers" if np.isinf(parsed).any() else f"numbers beyond {LARGEST:g}"
                raise ValueError(f"{self._path}: column {name!r} has {problem}; name it in data.drop_columns")
            if parsed is not None:
                numbers.append(parsed)
            elif len(set(cells)) <= MOST_WORDS:
                words.append(np.array(cells, dtype=object))
            else:
                raise ValueError(
                    f"{self._path}: column {name!r} has {len(set(cells))} different words, more than {MOST_WORDS}; "
                    "name it in data.drop_columns, or group them"
                )
        if not numbers and not words:
            raise ValueError(f"{self._path}: no column is left to predict {self.target!r} from")
        empty = np.empty((len(values), 0))
        return (
            np.stack(numbers, axis=1) if numbers else empty,
            np.stack(words, axis=1) if words else empty.astype(object),
            values,
        )

    @property
    def _path(self) -> str:
        return str(self.root / self.file)

    def _columns(self) -> dict[str, list[str]]:
        if not self.file:
            raise ValueError("data.file: is empty; name a CSV file")
        try:
            require_file(Path(self._path))
            with open(self._path, newline="", encoding="utf-8-sig") as stream:
                rows = [row for row in csv.reader(stream) if row]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self._path} is no CSV file: {error}") from error
        except OSError as error:
            raise FileNotFoundError(
                f"{self._path} cannot be read ({error.strerror or error}); data.file is looked up in data.root, or in "
                "the environment variable LITZOO_DATA_DIR"
            ) from error
        if len(rows) < 2:
            raise ValueError(f"{self._path}: needs a header line and rows, has {len(rows)} lines")
        header, *body = rows
        if twice := {name for name in header if header.count(name) > 1}:
            raise ValueError(f"{self._path}: the header names {', '.join(map(repr, sorted(twice)))} twice")
        for number, row in enumerate(body, start=2):
            if len(row) != len(header):
                raise ValueError(f"{self._path}: row {number} has {len(row)} cells, the header {len(header)}")
        return {name: [row[column] for row in body] for column, name in enumerate(header)}


def _numbers(cells: list[str]) -> np.ndarray | None:
    """Returns the cells as numbers, empty ones NaN; `None` if a filled one is no number."""
    if any("_" in cell for cell in cells):
        return None  # Python reads 1_000 as a number, nobody else does
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells])
    except ValueError:
        return None
