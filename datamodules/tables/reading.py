"""How a table becomes a tensor: columns by name, imputation, scaling and categories as fitted in training."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from litzoo.datamodules.tables.categories import categories_of, pooled_remarks, recognised
from litzoo.datamodules.tables.cells import without_missing
from litzoo.datamodules.tables.checks import require_columns, warn_of_empty, warn_of_newly_filled, warn_of_unseen_words
from litzoo.datamodules.tables.columns import Column, column_of, values_of
from litzoo.datamodules.tables.csv_files import TableFormat, clean_name, read_table
from litzoo.datamodules.tables.encoding import codes_of, fit_numbers, fit_words
from litzoo.datamodules.tables.new_files import read_new_rows
from litzoo.datamodules.tables.ranges import ranges_of, warn_of_far


@dataclass
class TableReading:
    """The fitted preprocessing of a table: turns a CSV file or a data frame into float32 `[N, F]`.

    Columns are found by name. Missing numbers become the median of the training rows and are marked in an indicator
    column, if the training rows lack some too; then all are standardised. Categories are one-hot encoded; a missing
    cell is a category, and a category that did not occur in training is encoded as zeros, with a warning. With a
    limit on the categories of a column, the rarest share one feature.

    It consists of plain numbers, texts and lists, so that a checkpoint holds it: `state` and `from_state`. Predicting
    needs nothing else, neither the training data nor a datamodule:

        reading = TableReading.from_state(checkpoint["CSVRegressionDataModule"]["reading"])
        inputs = reading.tensor(pandas.read_csv("new_rows.csv"))

    Attributes:
        columns: The columns that are inputs, in their order in training.
        medians: What replaces a missing number, one for each value.
        gaps: Positions of the values with an indicator.
        means: Means of the values and indicators, in this order, over the training rows.
        scales: Their standard deviations; 1 for a constant one.
        ranges: Column of numbers or dates -> smallest and largest of the training rows; empty in an earlier checkpoint.
        categories: Words of each column of categories that occurred in training: those with a feature of their own, in
            order, then the pooled ones.
        word_features: Number of features of each column of categories. Words from the last feature on share it.
        ignored: Other columns that a table may have: target, identifiers and those that were left out.
        id_columns: Names of the identifiers.
        target: Name of the target column.
        class_names: Names of the classes, for classification.
        format: Format of the training file as it was read; missing values are the same for new files.
    """

    columns: list[Column]
    medians: list[float] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    ranges: dict[str, list[float]] = field(default_factory=dict)
    categories: list[list[str]] = field(default_factory=list)
    word_features: list[int] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    id_columns: list[str] = field(default_factory=list)
    target: str = ""
    class_names: list[str] = field(default_factory=list)
    format: TableFormat = field(default_factory=TableFormat)

    def __post_init__(self) -> None:
        if not self.word_features:  # an earlier checkpoint, without pooled words
            self.word_features = [len(known) for known in self.categories]

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        rows: Sequence[int] | np.ndarray | None = None,
        *,
        date_formats: Mapping[str, str] | None = None,
        categorical: Sequence[str] = (),
        max_categories: int | None = None,
        where: str = "the table",
        **others: Any,
    ) -> "TableReading":
        """Decides what each column is, and fits medians, scales and categories.

        Args:
            frame: All rows: they decide what a column is (a number, a date, ...).
            rows: Positions of the training rows, which everything else is fitted on; `None` for all.
            date_formats: Column -> format of its dates.
            categorical: Columns of categories that could be mistaken for numbers, such as codes.
            max_categories: Largest number of features of a column of categories, of which the last stands for the
                rarest words if there are more; `None` refuses columns with more than 100 words.
            where: Name of the file, for messages.
            **others: `ignored`, `id_columns`, `target`, `class_names` and `format`, see the attributes.

        Raises:
            ValueError: If a column is not clear, or none is left; see `column_of`.
        """
        ignored = {*others.get("ignored", ()), *others.get("id_columns", ()), others.get("target", "")}
        names = [name for name in frame.columns if name not in ignored]
        if not names:
            raise ValueError(f"{where}: no column is left to predict {others.get('target', '')!r} from")
        formats, is_limited = date_formats or {}, max_categories is not None
        columns = [
            column_of(frame[name], name, formats.get(name), name in categorical, where, is_limited) for name in names
        ]
        reading = cls(columns, **others)
        fitted = frame if rows is None else frame.iloc[np.asarray(rows)]
        if empty := [name for name in names if fitted[name].isna().all()]:
            warnings.warn(
                f"{where}: column {', '.join(map(repr, empty))} is empty in all training rows: it has no influence",
                stacklevel=2,
            )
        values = reading._values(fitted, where)
        if values.shape[1]:
            reading.medians, reading.gaps, reading.means, reading.scales = fit_numbers(values, reading._are_waves())
            reading.ranges = ranges_of(columns, values)
        words = reading._words(fitted)
        if words.shape[1]:
            reading.categories, reading.word_features = fit_words(words, max_categories)
        return reading

    def state(self) -> dict[str, Any]:
        """Returns the reading as plain numbers, texts, lists and dictionaries, for a checkpoint or JSON."""
        state = asdict(self)
        state["format"]["missing_values"] = list(map(str, self.format.missing_values))
        state["format"]["point_columns"] = list(self.format.point_columns)
        state["columns"] = [{**column, "periods": list(column["periods"])} for column in state["columns"]]
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "TableReading":
        """Returns the reading that `state` was made of."""
        columns = [Column(**column) for column in state["columns"]]
        form = dict(state["format"])
        if "keep_default_missing" not in form:  # an earlier checkpoint: its missing values replace those of pandas
            form["keep_default_missing"] = form["missing_values"] is None
        form["missing_values"] = form["missing_values"] or ()
        return cls(**{**state, "columns": columns, "format": TableFormat(**form)})

    @property
    def num_features(self) -> int:
        """F, the number of inputs of a row."""
        return len(self.means) + sum(self.word_features)

    @property
    def feature_groups(self) -> dict[str, list[int]]:
        """Column -> positions of its features among the F."""
        value_owners = [column.name for column in self.columns for _ in column.value_names]
        owners = [*value_owners, *(value_owners[position] for position in self.gaps)]
        words = [column.name for column in self.columns if column.kind == "category"]
        owners += [name for name, count in zip(words, self.word_features, strict=True) for _ in range(count)]
        groups: dict[str, list[int]] = {column.name: [] for column in self.columns}
        for position, name in enumerate(owners):
            groups[name].append(position)
        return groups

    def read(self, path: str | Path, remedy: str = "give the path of a CSV file") -> pd.DataFrame:
        """Reads a CSV file of new rows: the separator and decimal sign are found anew, else those of training.

        Raises:
            FileNotFoundError: If it cannot be read.
            ValueError: If it is not a CSV file; see `read_table`.
        """
        return self._read(path, remedy)[0]

    def read_as_written(self, path: str | Path, remedy: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Returns the rows of a CSV file, as `read` does, and all cells as they are written: text `[N, columns]`.

        Raises:
            FileNotFoundError: If it cannot be read.
            ValueError: If it is not a CSV file; see `read_table`.
        """
        rows, found = self._read(path, remedy)
        written = TableFormat(found.separator, ".", found.encoding, keep_default_missing=False)
        names = [column.name for column in self.columns]
        return rows, read_table(Path(path).expanduser(), remedy, written, names, kept=None)[0].fillna("")

    def tensor(self, table: pd.DataFrame | str | Path, where: str | None = None) -> Tensor:
        """Returns the inputs of rows, float32 `[N, F]`.

        Args:
            table: A data frame, or the path of a CSV file. Columns are matched by name, in any order.
            where: Name of the table, for messages.

        Raises:
            ValueError: If a column that was used in training is missing, there is one that training did not have, or a
                cell is not what its column had in training.
        """
        if not isinstance(table, pd.DataFrame):
            where = where or str(table)
            table = self.read(table)
        where = where or "the table"
        table = self._named(table, where)
        return self._encoded(self._values(table, where), self._words(table))

    def new_tensor(self, table: pd.DataFrame, where: str) -> Tensor:
        """Returns the inputs of new rows, float32 `[N, F]`, and warns of what training did not have.

        That are categories, numbers and dates far outside, and columns that are empty or were.

        Raises:
            ValueError: As `tensor`; and if most filled cells of a column have several new categories, or one is a
                category of training without its leading zeros: then the column was likely changed or retyped.
        """
        table = self._named(table, where)
        values, words = self._values(table, where), self._words(table)
        self._warn_of_unseen(table, values, words, where)
        return self._encoded(values, words)

    def raw(self, table: pd.DataFrame, where: str = "the table") -> tuple[np.ndarray, np.ndarray]:
        """Returns the inputs of rows before imputation, scaling and encoding, as an exported program takes them.

        Returns:
            Numbers, float64 `[N, A]`, NaN where missing; and for each column of categories the position of the cell in
            `categories`, int64 `[N, C]`, -1 if it is not there. Pooled words keep their positions.
        """
        table = self._named(table, where)
        return self._values(table, where), codes_of(self._words(table), self.categories)

    def pooled(self, rows: pd.DataFrame) -> list[str]:
        """Returns a remark on each column whose rarest words share a feature, with their number in training rows."""
        names = [column.name for column in self.columns if column.kind == "category"]
        if self.word_features == [len(known) for known in self.categories]:
            return []
        return pooled_remarks(names, self._words(rows), self.categories, self.word_features)

    def _warn_of_unseen(self, table: pd.DataFrame, values: np.ndarray, words: np.ndarray, where: str) -> None:
        """Warns of what training did not have in a table with clean names, its numbers `[N, A]` and words `[N, C]`."""
        empty = self._empty()
        filled = [name for name in table if name not in empty] if len(table) > 1 else []
        warn_of_empty([name for name in filled if table[name].isna().all()], where)
        warn_of_newly_filled([name for name in empty if table[name].notna().any()], where)
        names = [column.name for column in self.columns if column.kind == "category"]
        for name, cells, known in zip(names, words.T, self.categories, strict=True):
            warn_of_unseen_words(name, cells, known, where)
        warn_of_far(self.columns, values, self.ranges, table, where)

    def _encoded(self, values: np.ndarray, words: np.ndarray) -> Tensor:
        """Returns numbers `[N, A]` and words `[N, C]` imputed, scaled and encoded, float32 `[N, F]`."""
        parts = []
        if self.means:
            gaps = np.isnan(values)
            filled = np.where(gaps, self.medians, values)
            everything = np.concatenate([filled, gaps[:, self.gaps]], axis=1)
            parts.append((everything - np.array(self.means)) / np.array(self.scales))
        for codes, count in zip(codes_of(words, self.categories).T, self.word_features, strict=True):
            parts.append(np.minimum(codes, count - 1)[:, None] == np.arange(count))
        return torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))

    def _empty(self) -> set[str]:
        """Returns the names of columns that were empty in all training rows."""
        owners = [column.name for column in self.columns for _ in column.value_names]
        missing = self.means[len(owners) :]  # of the indicators: the fraction of the rows in which a value is missing
        words = [column.name for column in self.columns if column.kind == "category"]
        return {owners[position] for position, rate in zip(self.gaps, missing, strict=True) if rate == 1} | {
            name for name, known in zip(words, self.categories, strict=True) if known == [""]
        }

    def _are_waves(self) -> list[bool]:
        """Whether each number of a row is the sine or cosine of a cycle of dates."""
        return [number > 0 for column in self.columns for number in range(len(column.value_names))]

    def _read(self, path: str | Path, remedy: str) -> tuple[pd.DataFrame, TableFormat]:
        words = {column.name for column in self.columns if column.kind != "number"}
        kept = {*words, *self._other_columns, *self.format.point_columns}
        names = [column.name for column in self.columns]
        return read_new_rows(Path(path).expanduser(), remedy, self.format, names, kept, self.ranges)

    def _named(self, table: pd.DataFrame, where: str) -> pd.DataFrame:
        """Returns a table with clean names, after checking them; the missing words of training are missing cells."""
        table = table.set_axis([clean_name(name) for name in table.columns], axis=1)
        require_columns(list(table.columns), [each.name for each in self.columns], self._other_columns, where)
        missing = self.format.missing()
        return pd.DataFrame(
            {column.name: without_missing(table[column.name], missing) for column in self.columns}, index=table.index
        )

    @property
    def _other_columns(self) -> set[str]:
        return {*self.ignored, *self.id_columns, self.target} - {""}

    def _values(self, frame: pd.DataFrame, where: str) -> np.ndarray:
        columns = [column for column in self.columns if column.kind != "category"]
        return np.concatenate(
            [np.empty((len(frame), 0)), *(values_of(column, frame[column.name], where) for column in columns)], axis=1
        )

    def _words(self, frame: pd.DataFrame) -> np.ndarray:
        names = [column.name for column in self.columns if column.kind == "category"]
        words = np.empty((len(frame), len(names)), dtype=object)
        for place, name in enumerate(names):
            words[:, place] = categories_of(frame[name])
            if self.categories:
                words[:, place] = recognised(words[:, place], self.categories[place])
        return words
