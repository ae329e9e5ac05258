"""What a table predicts: numbers or classes."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from litzoo.datamodules.class_labels import ClassLabels
from litzoo.datamodules.class_spellings import equal_numbers, warn_of_spellings
from litzoo.datamodules.counted import counted
from litzoo.datamodules.dataset import IndexedDataset
from litzoo.datamodules.splits.core import Split, count_of, split_train_val
from litzoo.datamodules.splits.membership import draw_members
from litzoo.datamodules.tables.categories import categories_of
from litzoo.datamodules.tables.columns import LARGEST, WITH_SIGNS

if TYPE_CHECKING:
    from litzoo.datamodules.tables.base import TableDataModule

    _Table = TableDataModule

    class _Classes(ClassLabels, TableDataModule):
        pass
else:
    _Table = object  # mixins: the classes that use them derive from `TableDataModule` themselves
    _Classes = ClassLabels

MOST_CLASSES = 1000
COARSEST = 1000
"""Smallest standard deviation of targets, in steps of float32 at their largest value: rounding stays below 0.05 %."""


class NumberTargets(_Table):
    """Mixin for tables with a number per row to predict. Targets keep their units.

    Put it before `TableDataModule`: `class DiabetesDataModule(NumberTargets, TableDataModule)`.
    """

    links: tuple[str, ...] = ("input_shape", "target_mean", "target_std")

    def target_values(self, frame: pd.DataFrame) -> Tensor:
        """Returns the numbers to predict, float32 `[N]`.

        Raises:
            ValueError: If a target is missing, not a finite number, or beyond 1e18, or if float32 cannot tell the
                targets apart (such as Unix times within a day).
        """
        cells = frame[self.target]
        texts = pd.Series(categories_of(cells), index=cells.index)
        values = np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)
        if not (finite := np.isfinite(values)).all():
            wrong = texts[~finite]
            hint = ""
            if WITH_SIGNS.fullmatch(wrong.iloc[0]):
                hint = "; write numbers without currency, unit and separators of thousands, such as 1234.5"
            elif np.isnan(values).all():
                hint = "; for classes use CSVClassificationDataModule with an MLPClassifier"
            raise ValueError(
                f"{self.where}: the target column {self.target!r} has cells that are empty or not a number; the first "
                f"is {wrong.iloc[0]!r} in row {wrong.index[0]}{hint}"
            )
        if np.abs(values).max() > LARGEST:
            raise ValueError(f"{self.where}: target column {self.target!r} has numbers beyond {LARGEST:g}; scale them")
        step, spread = float(np.spacing(np.float32(np.abs(values).max()))), float(values.std())
        if 0 < spread < COARSEST * step:
            raise ValueError(
                f"{self.where}: the target column {self.target!r} has values up to {np.abs(values).max():.10g}, which "
                f"float32 rounds to multiples of {step:g}, but their standard deviation is only {spread:.4g}: subtract "
                f"a constant, such as {np.floor(values.min()):.10g}, from the column, and add it to the predictions"
            )
        return torch.tensor(values, dtype=torch.float32)

    def find_split(self) -> None:
        """Reads and splits the table, unless that has been done."""
        if self.split is not None:
            return
        targets = self.target_values(self.frame)[torch.from_numpy(self.rows_of("train"))]
        validation = self.validation_rows()
        if validation is None:
            self.split = split_train_val(targets, self.train_size, self.val_size, self.seed)
        else:
            rest = np.flatnonzero(~validation)
            self.split = Split(torch.from_numpy(self._training(rest)), torch.from_numpy(np.flatnonzero(validation)))
        self.targets = targets

    def serve(self, stage: str) -> None:
        """Makes the three data sets, unless there are some."""
        if self.train_set is not None:
            return
        assert self.split is not None
        inputs, test = self.table_inputs("train"), self.table_inputs("test")
        values = self.target_values(self.frame)[torch.from_numpy(self.rows_of("test"))]
        self.train_set = IndexedDataset(inputs, self.targets, self.split.train)
        self.val_set = IndexedDataset(inputs, self.targets, self.split.val)
        self.test_set = IndexedDataset(test, values)

    @property
    def target_mean(self) -> float:
        """Mean of the training targets. Reads the table, unless a checkpoint has told it."""
        return self._scale()[0]

    @property
    def target_std(self) -> float:
        """Standard deviation of the training targets. Reads the table, unless a checkpoint has told it."""
        return self._scale()[1]

    def state_dict(self) -> dict[str, Any]:
        """Adds mean and standard deviation of the training targets."""
        state = super().state_dict()
        return state | ({"target_scale": list(self._scale())} if state else {})

    def _scale(self) -> tuple[float, float]:
        if "target_scale" in self.restored:
            mean, std = self.restored["target_scale"]
            return mean, std
        self.find_split()
        assert self.targets is not None
        assert self.split is not None
        values = self.targets[self.split.train].double()
        return values.mean().item(), values.std().item()

    def _training(self, rest: np.ndarray) -> np.ndarray:
        """Returns the training rows among those that validation leaves, by their content."""
        if self.train_size is None:
            return rest
        if not count_of("train_size", self.train_size, len(rest)):
            raise ValueError(f"train_size {self.train_size} leaves no training sample: raise it")
        ids = self.row_ids("train")
        chosen = draw_members("train_size", self.train_size, [ids[row] for row in rest], f"train {self.seed}")
        return rest[chosen]


class RowClasses(_Classes):
    """Mixin for tables with a class per row to predict.

    Put it before `TableDataModule`. The strong view of an unlabeled row has some of its columns replaced by those of
    another row of the batch, as in SCARF (Bahri et al. 2022); the weak view is the row itself.

    Args:
        strong_swap: Fraction of the columns that the strong view of an unlabeled row takes from another row.
        **options: See `ClassLabels` and `BaseDataModule`.

    Raises:
        ValueError: If `strong_swap` is not a fraction.
    """

    links: tuple[str, ...] = ("num_classes", "class_names", "input_shape")
    _class_names: tuple[str, ...] | None = None

    def __init__(self, strong_swap: float = 0.3, **options: Any) -> None:
        if not 0 <= strong_swap <= 1:
            raise ValueError(f"data.strong_swap: {strong_swap} is not a fraction in [0, 1]")
        self.strong_swap = strong_swap
        super().__init__(**options)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; at first, those in the table or in the checkpoint, sorted."""
        if self._class_names is None:
            known = self.reading.class_names if self.reading is not None else self._names_in(self.frame)
            self._class_names = tuple(known)
        return self._class_names

    @class_names.setter
    def class_names(self, names: tuple[str, ...]) -> None:
        """Chooses the known classes and their order."""
        self._class_names = names

    def target_values(self, frame: pd.DataFrame) -> Tensor:
        """Returns the label of each row as in the table, int64 `[N]`.

        Raises:
            ValueError: If a target is missing, or of a class that the checkpoint does not know.
        """
        texts = categories_of(frame[self.target])
        table = {name: label for label, name in enumerate(self.file_class_names)}
        if absent := [name for name in dict.fromkeys(texts) if name not in table]:
            raise ValueError(
                f"{self.where}: the target column {self.target!r} has the class {absent[0]!r}, which did not exist in "
                f"training (classes: {', '.join(self.file_class_names)}); remove its rows"
            )
        return torch.tensor([table[text] for text in texts])

    def may_validate(self, frame: pd.DataFrame) -> np.ndarray:
        """Returns which rows are of a known class."""
        return np.isin(self.target_values(frame).numpy(), self.known)

    def membership(self) -> dict[str, Any]:
        """Returns the validation rows and the content ids, if rows are drawn by content."""
        validation = self.validation_rows()
        return {} if validation is None else {"val": torch.from_numpy(validation), "ids": self.row_ids("train")}

    def sample_names(self) -> dict[str, list[str]]:
        """Returns the numbers, in the file, of the full training set's rows, if there is a file."""
        return {"row": [str(row) for row in self.frame.index[self.rows_of("train")]]} if self.by_content else {}

    def read_labels(self) -> Tensor:
        """Returns the labels of the full training set."""
        return self.target_values(self.frame)[torch.from_numpy(self.rows_of("train"))]

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Returns the inputs of the training or test set, float32 `[N, F]`, and their labels."""
        part = self.rows_of("train" if train else "test")
        return self.table_inputs("train" if train else "test"), self.target_values(self.frame)[torch.from_numpy(part)]

    def find_split(self) -> None:
        """Splits the table and corrupts its labels, unless that has been done."""
        ClassLabels.find_split(self)

    def setup(self, stage: str) -> None:
        """Reads, splits and preprocesses the table; for new rows with a checkpoint's preprocessing only those."""
        super(ClassLabels, self).setup(stage)

    def serve(self, stage: str) -> None:
        """Makes the data sets of a stage; fitting reads the test set too, to find mistakes before training."""
        for each in ("fit", "test") if stage == "fit" else (stage,):
            ClassLabels.setup(self, each)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Makes the two views of unlabeled rows, on their device."""
        if "unlabeled" in batch:
            rows = batch["unlabeled"].pop("input")
            batch["unlabeled"] |= {"weak": rows, "strong": self._swapped(rows)}
        return batch

    def _swapped(self, rows: Tensor) -> Tensor:
        groups = list(self.feature_groups.values())
        owner = torch.empty(rows.shape[1], dtype=torch.int64)
        for number, features in enumerate(groups):
            owner[features] = number
        chosen = torch.rand(len(rows), len(groups), device=rows.device) < self.strong_swap
        others = rows[torch.randperm(len(rows), device=rows.device)]
        return torch.where(chosen[:, owner.to(rows.device)], others, rows)

    def _names_in(self, frame: pd.DataFrame) -> list[str]:
        """Returns the class names in the target column, sorted; numbers by their value."""
        cells = pd.Series(categories_of(frame[self.target]), index=frame.index)
        place = f"{self.where}: the target column {self.target!r}"
        if (empty := cells[cells == ""]).size:
            raise ValueError(
                f"{place} has {counted(len(empty), 'cell that is empty or stands', 'cells that are empty or stand')} "
                f"for a missing value (such as NA), the first in row {empty.index[0]}; fill or remove them, or set "
                "data.keep_default_missing to false if NA is a class"
            )
        names = list(cells.unique())
        numbers = np.asarray(pd.to_numeric(pd.Series(names, dtype=object), errors="coerce"), dtype=np.float64)
        if (len(names) > 20 and not np.isnan(numbers).any() and (numbers % 1 != 0).any()) or len(names) > MOST_CLASSES:
            raise ValueError(
                f"{place} has {len(names):,} different values, too many to be classes; for numbers use "
                "CSVRegressionDataModule with a Regressor"
            )
        if len(names) < 2:
            raise ValueError(f"{place} has only the class {names[0]!r}; classification needs at least two")
        if same := equal_numbers(names):
            rows = [f"{name!r} (row {cells.index[cells == name][0]})" for name in same[0]]
            raise ValueError(
                f"{place} has the classes {' and '.join(rows)}, which are the same number: write them in one way; if "
                "they are different classes, give them names that are no numbers"
            )
        warn_of_spellings(names, place)
        if np.isnan(numbers).any():
            return sorted(names)
        return [name for _, name in sorted(zip(numbers.tolist(), names, strict=True))]
