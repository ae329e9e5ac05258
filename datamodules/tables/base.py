"""The base class of datamodules of tables."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.datamodules.base import BaseDataModule
from litzoo.datamodules.counted import counted
from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.splits.core import Split, hold_out
from litzoo.datamodules.splits.membership import content_id
from litzoo.datamodules.splits.recorded import RecordedSamples
from litzoo.datamodules.tables.cells import canonical_texts
from litzoo.datamodules.tables.naming import apart
from litzoo.datamodules.tables.reading import TableReading
from litzoo.datamodules.tables.row_parts import RowDraw, fingerprint_of_rows, recorded_rows

HELD_OUT = 0.2
"""Fraction of the rows in the test set."""


class TableDataModule(BaseDataModule):
    """Tables with one target per row.

    A subclass defines `target` and `read_frame`, and derives from `NumberTargets` (regression) or `RowClasses`
    (classification) before this class. Columns are preprocessed as `TableReading` describes, fitted on the training
    rows only. A checkpoint holds what was fitted, and everything that uses the checkpoint uses that.

    A fifth of the rows is held out for testing, independently of the seed.

    Args:
        **options: See `BaseDataModule`.

    Attributes:
        where: Name of the table, for messages.
        where_new: Name of the rows to predict, for messages.
        target: Name of the target column.
        by_content: Whether a row's part (training, validation, test) is drawn by a hash of its cells, so that it does
            not depend on the other rows; otherwise by its position.
        test_size: Size of the test set, a count or a fraction.
        reading: The fitted preprocessing; `None` before `setup`.
    """

    links: tuple[str, ...] = ("input_shape",)
    where: str = "the table"
    where_new: str = "the new rows"
    target: str
    by_content: bool = False
    test_size: int | float = HELD_OUT

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.reading: TableReading | None = None
        self._frame: pd.DataFrame | None = None
        self._ids: list[str] = []
        self._rows: dict[str, np.ndarray] = {}
        self._validation: np.ndarray | None = None
        self._new: pd.DataFrame | None = None
        self._record: RecordedSamples | None = None
        self._stages: list[str] = []
        if "reading" in self.restored:
            self.reading = TableReading.from_state(self.restored["reading"])

    @abstractmethod
    def read_frame(self) -> pd.DataFrame:
        """Returns all rows: the target, the inputs and perhaps identifiers, indexed by their names in messages."""

    def read_new(self) -> pd.DataFrame | None:
        """Returns rows to predict instead of the test set, if there are any."""
        return None

    @abstractmethod
    def target_values(self, frame: pd.DataFrame) -> Tensor:
        """Returns the targets of all rows: labels, int64 `[N]`, or values, float32 `[N]`."""

    @abstractmethod
    def serve(self, stage: str) -> None:
        """Makes the data sets of a stage; `table_inputs` are their inputs."""

    def fit_reading(self, frame: pd.DataFrame, rows: np.ndarray) -> TableReading:
        """Fits the preprocessing to the training rows, at positions `rows` of all rows."""
        return TableReading.fit(frame, rows, target=self.target)

    @property
    def frame(self) -> pd.DataFrame:
        """All rows, read once."""
        if self._frame is None:
            self._frame = self.read_frame()
        return self._frame

    def rows_of(self, part: Literal["train", "test"]) -> np.ndarray:
        """Returns the positions, among all rows, of the full training set or the test set."""
        if not self._rows:
            self._assign_rows()
        return self._rows[part]

    def validation_rows(self) -> np.ndarray | None:
        """Returns which rows of the full training set validate, bool `[N]`; `None` if not drawn by content."""
        self.rows_of("train")
        return self._validation

    def row_ids(self, part: Literal["train", "test"]) -> list[str]:
        """Returns the content ids of a part's rows: hashes of their cells without target and identifiers."""
        rows = self.rows_of(part)
        if not self._ids:
            self._ids = self._content_ids()
        return [self._ids[row] for row in rows]

    def content_ids(self, part: Literal["train", "test", "all"]) -> list[str]:
        """Returns the content ids of a set's rows, or of all rows, for tables of samples; else an empty list."""
        if not self.by_content:
            return []
        return self.row_ids(part) if part != "all" else list(self._ids or self._content_ids())

    def may_validate(self, frame: pd.DataFrame) -> np.ndarray:
        """Returns which of all rows validation samples can be drawn from, bool `[N]`."""
        return np.ones(len(frame), dtype=bool)

    def find_split(self) -> None:
        """Reads and splits the table."""
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        """Reads, splits and preprocesses the table; for new rows with a checkpoint's preprocessing only those."""
        if stage == "predict" and (self._new is not None or (new := self.read_new()) is not None):
            self._new = new if self._new is None else self._new
            self.new_set = IndexedDataset(self._fitted().new_tensor(self._new, self.where_new), None)
        else:
            self.find_split()
            self.serve(stage)
        self._stages.append(stage)

    def table_inputs(self, part: Literal["train", "test"]) -> Tensor:
        """Returns the inputs of the full training set or the test set, float32 `[n, F]`."""
        rows = self.frame.iloc[self.rows_of(part)]
        if part == "test" and self._record is not None:
            return self._fitted().new_tensor(rows, self.where)
        return self._fitted().tensor(rows, self.where)

    @property
    def input_shape(self) -> tuple[int]:
        """`(F,)`: the number of preprocessed columns. Reads the table, unless a checkpoint has told it."""
        if self.reading is None:
            self.setup("fit")
        return (self._fitted().num_features,)

    @property
    def feature_groups(self) -> dict[str, list[int]]:
        """Column -> positions of its features in the input. For the importance of columns."""
        return self._fitted().feature_groups

    def sample_columns(self, part: Literal["train", "test", "predict"], index: Tensor) -> dict[str, list[Any]]:
        """Returns the number in the file and the identifiers of rows at `index` `[n]`, for tables of samples."""
        new = part == "predict" and self._new is not None
        if not (self.by_content or new):
            return {}
        rows = self.frame.iloc[self.rows_of("train" if part == "train" else "test")] if self._new is None else self._new
        chosen = rows.iloc[index.numpy()]
        names = [name for name in self._fitted().id_columns if name in chosen]
        columns: dict[str, list[Any]] = {"row": list(chosen.index)}
        named = {name: ["" if cell is None else cell for cell in chosen[name]] for name in names}
        return columns | apart(named, columns, "tables of samples")

    def fingerprint_of(self, split: Split, targets: Tensor) -> str:
        """Returns a hash of the rows of each part with their targets, whatever their order in the file."""
        if not self.by_content:
            return super().fingerprint_of(split, targets)
        return fingerprint_of_rows(self.row_ids("train"), split.parts(), targets)

    def state_dict(self) -> dict[str, Any]:
        """Adds the fitted preprocessing, and for rows drawn by content which ones were used."""
        state = super().state_dict()
        if self.reading is not None:
            state["reading"] = self.reading.state()
        if self.by_content and self.split is not None:
            names = [str(name) for name in self.frame.index[self.rows_of("train")]]
            state["samples"] = RecordedSamples(self.row_ids("train"), names, self.row_ids("test")).state()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the preprocessing of a checkpoint, and checks that it was trained on these rows.

        A resumed training uses exactly the rows it recorded, also for its test. Otherwise, in tests and predictions the
        table may have grown; a test row that the checkpoint was trained on is left out.

        Raises:
            ValueError: If the options of the split are others, recorded rows are gone, or a column is missing or new.
        """
        if "reading" in state_dict:
            self.reading = TableReading.from_state(state_dict["reading"])
        try:
            if "samples" not in state_dict:
                super().load_state_dict(state_dict)
            elif self._new is None:
                self._take_record(state_dict)
        except FileNotFoundError as error:
            rank_zero_warn(f"Not checked whether the checkpoint was trained on this split of the data: {error}")
        self._serve_again()

    def _take_record(self, state: dict[str, Any]) -> None:
        """Restricts the rows to those that a checkpoint allows."""
        self.check_options(state)
        record = self._record = RecordedSamples.from_state(state["samples"])
        resumed = self.trainer is not None and self.trainer.state.fn == "fit"
        known = set(record.ids)
        trained = np.array([each in known for each in self.row_ids("test")], dtype=bool)
        if trained.any():
            rank_zero_warn(f"{trained.sum():,} rows of the test set are left out: the checkpoint was trained on them")
            self._rows["test"] = self._rows["test"][~trained]
        if not resumed:
            return
        rows, tested = recorded_rows(record, self._ids, self.where)
        if waiting := len(self._ids) - len({*rows.tolist()}) - len(tested):
            text = counted(waiting, "new row is", "new rows are")
            rank_zero_warn(f"{text} not used by the resumed training: a new one will use what is new")
        self._rows, self._validation = {"train": rows, "test": tested}, self._draw().validation(rows)
        self.split = None
        self.find_split()
        self.check_split(state)

    def _serve_again(self) -> None:
        self.train_set = self.val_set = self.unlabeled_set = self.test_set = self.new_set = None
        stages, self._stages = dict.fromkeys(self._stages), []
        for stage in stages:
            self.setup(stage)

    def _fitted(self) -> TableReading:
        if self.reading is None:
            self.find_split()
            assert self.split is not None
            used = torch.cat([self.split.train, self.split.unlabeled]).sort().values
            self.reading = self.fit_reading(self.frame, self.rows_of("train")[used.numpy()])
        return self.reading

    def _content_ids(self) -> list[str]:
        skipped = [self.target, *self.names_outside_content(self.frame)]
        return [content_id(text.encode()) for text in canonical_texts(self.frame, skipped)]

    def identifiers(self, frame: pd.DataFrame) -> Sequence[str]:
        """Returns the names of columns that only name the rows."""
        return ()

    def names_outside_content(self, frame: pd.DataFrame) -> Sequence[str]:
        """Returns the columns that a row's content id leaves out, beside the target.

        They do not depend on the cells, so that a new row changes the id of no other.
        """
        return ()

    def _assign_rows(self) -> None:
        frame = self.frame
        if not self.by_content:
            parts = hold_out(self.target_values(frame), HELD_OUT)
            self._rows = {"train": parts[0].numpy(), "test": parts[1].numpy()}
            return
        self._ids = self._content_ids()
        self._rows, self._validation = self._draw().parts(self.test_size, self.where)

    def _draw(self) -> RowDraw:
        return RowDraw(self._ids, self.may_validate(self.frame), self.val_size, self.seed)
