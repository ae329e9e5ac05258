"""Regression and classification on CSV files with a header line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.paths import find_path
from litzoo.datamodules.splits.membership import membership_notes
from litzoo.datamodules.tables.base import HELD_OUT, TableDataModule
from litzoo.datamodules.tables.categories import categories_of
from litzoo.datamodules.tables.cells import canonical_texts
from litzoo.datamodules.tables.checks import require_known, warn_of_word_spellings
from litzoo.datamodules.tables.columns import is_identifier, named_like_identifier, useless_columns
from litzoo.datamodules.tables.csv_files import TableFormat, clean_name, read_table
from litzoo.datamodules.tables.leaks import leaking_columns
from litzoo.datamodules.tables.reading import TableReading
from litzoo.datamodules.tables.targets import NumberTargets, RowClasses

if TYPE_CHECKING:
    _Base = TableDataModule
else:
    _Base = object  # a mixin: the classes that use it derive from `TableDataModule` themselves


class CSVFile(_Base):
    """Mixin for tables in a CSV file with a header line.

    Columns are found by name. Cells are numbers, dates, booleans (two words such as `yes` and `no`) or categories: see
    `TableReading`. A row's part (training, validation, test) is drawn by a hash of its cells and the seed: rows that
    are added, removed, moved or relabeled move no other row. The test set does not depend on the seed.

    Args:
        file: Path of the file, relative to the working folder or to `root`.
        target: Name of the column to predict.
        drop_columns: Names of columns to leave out.
        id_columns: Names of columns that only name the rows: no inputs, but written into `predictions.csv`. A column
            whose name says so (`id`, `customer_id`, ...) and whose cells all differ is one without being named.
        categorical_columns: Names of columns whose numbers are codes of categories.
        max_categories: Largest number of features of a column of categories. If it has more different words in the
            training rows, the rarest share one feature, as in scikit-learn's `OneHotEncoder`. By default all have their
            own, and columns with more than 100 words are refused.
        date_formats: Column -> format of its dates, as in `strftime` (`%d/%m/%Y`), where it is not certain.
        predict_file: CSV file, anywhere, with rows for `predict` to use instead of the test set. It must have the
            columns used in training, in any order, and no others; target and identifiers may be absent.
        test_size: Size of the test set, a fraction or a count.
        separator: Character between cells; found from the file if `null`, like the next two.
        decimal: Decimal sign of numbers, `.` or `,`.
        encoding: Encoding of the text, such as `cp1252`.
        missing_values: Further cells that are missing values, such as `unknown`, beside empty ones and those of pandas.
        keep_default_missing: Whether those of pandas (`NA`, `NaN`, `null`, ...) are missing values; `false` where they
            are categories or classes.
        **options: See `BaseDataModule`, and for classification `ClassLabels`.

    Raises:
        ValueError: If an option is not valid.
    """

    by_content = True
    split_by: tuple[str, ...]

    def __init__(
        self,
        file: str,
        target: str,
        drop_columns: list[str] | None = None,
        id_columns: list[str] | None = None,
        categorical_columns: list[str] | None = None,
        date_formats: dict[str, str] | None = None,
        predict_file: str | None = None,
        test_size: int | float = HELD_OUT,
        separator: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
        missing_values: list[str] | None = None,
        keep_default_missing: bool = True,
        max_categories: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not file:
            raise ValueError("data.file: is empty; name a CSV file")
        if not test_size:
            raise ValueError(f"data.test_size: {test_size} leaves no test set; give a count or a fraction")
        if max_categories is not None and max_categories < 2:
            raise ValueError(
                f"data.max_categories: {max_categories} leaves no category of its own beside the pooled ones; give at "
                "least 2"
            )
        self.max_categories = max_categories
        self.path = find_path(file, self.root)
        self.where, self.where_new = str(self.path), str(predict_file)
        self.file, self.predict_file, self.test_size = file, predict_file, test_size
        self.target = clean_name(target)
        self.drop_columns = list(map(clean_name, drop_columns or []))
        self.id_columns = list(map(clean_name, id_columns or []))
        self.categorical_columns = list(map(clean_name, categorical_columns or []))
        self.date_formats = {clean_name(name): each for name, each in (date_formats or {}).items()}
        self.format = TableFormat(separator, decimal, encoding, missing_values or (), keep_default_missing)
        if self.target in self.id_columns:
            raise ValueError(f"data.id_columns: {self.target!r} is the target; remove it from the list")
        self.split_by = (*self.split_by, "test_size", "target")

    def read_frame(self) -> pd.DataFrame:
        """Returns the cells of the file as text, a missing one as `None`, indexed by the number of the row.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is not a CSV file with a header, a named column does not exist, or no column is left.
        """
        remedy = (
            "data.file is relative to the working folder or data.root, which defaults to the environment variable "
            "LITZOO_DATA_DIR"
        )
        words = [*self.drop_columns, *self.id_columns, *self.categorical_columns, *self.date_formats]
        if isinstance(self, RowClasses):  # names of classes stay as they are written
            words.append(self.target)
        frame, self.format = read_table(self.path, remedy, self.format, [self.target], kept=words)
        named = {
            "data.target": [self.target],
            "data.drop_columns": self.drop_columns,
            "data.id_columns": self.id_columns,
            "data.categorical_columns": self.categorical_columns,
            "data.date_formats": list(self.date_formats),
        }
        require_known(named, list(frame.columns), self.where)
        if not set(frame.columns) - {self.target, *self.drop_columns, *self.identifiers(frame)}:
            raise ValueError(f"{self.where}: no column is left to predict {self.target!r} from")
        return frame

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the preprocessing of a checkpoint; see `TableDataModule`.

        Raises:
            ValueError: If other cells are missing values than in its training: rows would have other contents, by
                which it is known which of them were trained on.
        """
        if "reading" in state_dict and self._new is None:
            trained = TableReading.from_state(state_dict["reading"]).format
            if trained.missing() != self.format.missing():
                raise ValueError(
                    "the checkpoint was trained with other missing values: give data.missing_values "
                    f"{list(trained.missing_values)} and data.keep_default_missing "
                    f"{str(trained.keep_default_missing).lower()}, or start a new run"
                )
        super().load_state_dict(state_dict)

    def read_new(self) -> pd.DataFrame | None:
        """Returns the rows of `predict_file`.

        Raises:
            FileNotFoundError: If the file is absent.
            ValueError: If it is not a CSV file with a header.
        """
        if self.predict_file is None:
            return None
        return self._fitted().read(self.predict_file, "set data.predict_file to a CSV file")

    def identifiers(self, frame: pd.DataFrame) -> Sequence[str]:
        """Returns the columns that only name the rows, by option or by name; those of a checkpoint stay."""
        if self.reading is not None:
            return self.reading.id_columns
        known = {*self.id_columns, *self.drop_columns, *self.categorical_columns, *self.date_formats, self.target}
        found = [name for name in frame.columns if name not in known and is_identifier(name, frame[name])]
        return [*self.id_columns, *found]

    def names_outside_content(self, frame: pd.DataFrame) -> Sequence[str]:
        """Returns `id_columns` and the columns with the name of an identifier, also if their cells repeat.

        Columns in `categorical_columns` and `date_formats` are content. If no other column is left, all are.
        """
        content = {*self.categorical_columns, *self.date_formats}
        named = [name for name in frame.columns if name not in content and named_like_identifier(name)]
        left_out = dict.fromkeys([*self.id_columns, *named])
        is_all = set(frame.columns) <= {self.target, *left_out}
        return self.id_columns if is_all else list(left_out)

    def fit_reading(self, frame: pd.DataFrame, rows: np.ndarray) -> TableReading:
        """Fits the preprocessing to the training rows, and prints what was found in the file."""
        reading = TableReading.fit(
            frame,
            rows,
            date_formats=self.date_formats,
            categorical=self.categorical_columns,
            max_categories=self.max_categories,
            where=self.where,
            ignored=self.drop_columns,
            id_columns=list(self.identifiers(frame)),
            target=self.target,
            class_names=list(getattr(self, "file_class_names", [])),
            format=self.format,
        )
        _print(self._description(frame, rows, reading))
        for remark in leaking_columns(frame, rows, reading.columns, self.target, isinstance(self, RowClasses)):
            rank_zero_warn(
                f"{self.where}: {remark}. If it is made from the target, or known only after it, results will be too "
                "good: leave it out with data.drop_columns"
            )
        decided = {*self.categorical_columns, *self.date_formats}
        for column in reading.columns:
            if named_like_identifier(column.name) and column.name not in decided:
                rank_zero_warn(
                    f"{self.where}: column {column.name!r} has the name of an identifier, but its cells repeat or are "
                    "missing: it is an input. If it only names the rows, list it in data.id_columns; if it is a "
                    "category, in data.categorical_columns"
                )
            if column.kind == "category":
                warn_of_word_spellings(column.name, {*categories_of(frame[column.name])}, self.where)
        return reading

    def split_report(self) -> dict[str, Any]:
        """Adds what was found in the file: its format and the kind of each column."""
        report = super().split_report()
        report["notes"] = membership_notes(report.get("per_class", {}), report.get("class_names", []))
        if self.reading is not None:
            kinds = {column.name: column.kind for column in self.reading.columns}
            form = self.reading.format
            found = {"separator": form.separator, "decimal": form.decimal, "encoding": form.encoding}
            report["table"] = {**found, "columns": kinds, "identifiers": self.reading.id_columns}
        return report

    def _description(self, frame: pd.DataFrame, rows: np.ndarray, reading: TableReading) -> str:
        kinds: dict[str, list[str]] = {}
        for column in reading.columns:
            kinds.setdefault(column.kind, []).append(column.name)
        form = reading.format
        lines = [
            f"{self.where}: {len(frame):,} rows, separator {form.separator!r}, decimal sign {form.decimal!r}, encoding "
            f"{form.encoding}"
        ]
        lines += [f"  {kind}: {', '.join(names)}" for kind, names in kinds.items()]
        if reading.id_columns:
            lines.append(f"  identifiers, no inputs: {', '.join(reading.id_columns)}")
        gaps = {column.name: int(frame[column.name].isna().sum()) for column in reading.columns}
        if missing := [f"{name} {count:,}" for name, count in gaps.items() if count]:
            lines.append(f"  missing values: {', '.join(missing)}")
        lines += [f"  {remark}" for remark in useless_columns(frame, rows, reading.columns)]
        lines += [f"  {remark}" for remark in reading.pooled(frame.iloc[rows])]
        left_out = [name for name in self.names_outside_content(frame) if name in frame.columns]
        contents = zip(self._ids or self._content_ids(), canonical_texts(frame[[self.target]]), strict=True)
        if copies := len(frame) - len(set(contents)):
            but = f" in all cells but {', '.join(left_out)}" if left_out else ""
            one, more = "row is a copy", "rows are copies"
            lines.append(
                f"  {counted(copies, one, more)} of another row{but}: they count as further samples, in the part of "
                "that row (training, validation or test); remove them if they are an oversight"
            )
        return "\n".join(lines)


class CSVRegressionDataModule(NumberTargets, CSVFile, TableDataModule):
    """A CSV file with a header line and a numeric column to predict.

    Args:
        **options: See `CSVFile`, `TableDataModule` and `BaseDataModule`.
    """


class CSVClassificationDataModule(RowClasses, CSVFile, TableDataModule):
    """A CSV file with a header line and a column with the class of each row.

    Args:
        file: See `CSVFile`.
        target: See `CSVFile`.
        **options: See `CSVFile`, `RowClasses`, `ClassLabels` and `BaseDataModule`.
    """

    def __init__(self, file: str, target: str, **options: Any) -> None:
        super().__init__(file=file, target=target, **options)


_print = rank_zero_only(print)
