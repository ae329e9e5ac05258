"""Which rows of a table are for training, validation and test: drawn by their content, or as a checkpoint recorded."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.splits.folds import Fold
from litzoo.datamodules.splits.membership import draw_members
from litzoo.datamodules.splits.record import fingerprint
from litzoo.datamodules.splits.recorded import RecordedSamples


class RowDraw(NamedTuple):
    """How rows are drawn by their content.

    Attributes:
        ids: Content ids of all rows.
        may_validate: Which of all rows may validate, bool `[N]`.
        val_size: Size of the validation set, a fraction, a count, or a fold of a cross-validation.
        seed: Seed of the validation set.
    """

    ids: Sequence[str]
    may_validate: np.ndarray
    val_size: int | float | Fold
    seed: int

    def parts(self, test_size: int | float, where: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Draws the test set, which the seed does not change, and from the rest the validation set.

        Returns:
            The positions of the full training set and of the test set; and which rows of the first validate, bool
            `[n]`.

        Raises:
            ValueError: If a part comes out empty.
        """
        try:
            test = draw_members("test_size", test_size, self.ids, "test")
            training = np.flatnonzero(~test)
            validation = self.validation(training)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if validation.all():
            raise ValueError(
                f"{where}: test_size {test_size} and val_size {self.val_size} leave no training sample of "
                f"{len(self.ids)}: lower them"
            )
        return {"train": training, "test": np.flatnonzero(test)}, validation

    def validation(self, rows: np.ndarray) -> np.ndarray:
        """Returns which of the rows at positions `[n]` validate, bool `[n]`: drawn among these only.

        Raises:
            ValueError: If the size is out of range, or none is drawn.
        """
        candidates = np.flatnonzero(self.may_validate[rows])
        ids = [self.ids[row] for row in rows[candidates]]
        drawn = np.zeros(len(rows), dtype=bool)
        drawn[candidates] = draw_members("val_size", self.val_size, ids, f"val {self.seed}")
        return drawn


def recorded_rows(record: RecordedSamples, ids: Sequence[str], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions, among rows with these ids, of the samples that a checkpoint recorded.

    Returns:
        Those of the full training set, and those of the test set that are still there.

    Raises:
        ValueError: If some of the first are gone.
    """
    positions: dict[str, list[int]] = {}
    for position, each in enumerate(ids):
        positions.setdefault(each, []).append(position)
    if gone := record.absent(positions):
        raise ValueError(
            f"{where}: {len(gone):,} rows the training used are gone (row {', '.join(gone[:5])} of the file at that "
            "time): a training can only be resumed with them; restore them, or start a new training"
        )
    left = {each: iter(rows) for each, rows in positions.items()}
    training = [next(left[each], positions[each][0]) for each in record.ids]
    tested = (next(left.get(each, iter(())), None) for each in record.test_ids)
    return np.array(training), np.array(sorted(row for row in tested if row is not None), dtype=np.int64)


def fingerprint_of_rows(ids: Sequence[str], parts: Mapping[str, Tensor], targets: Tensor) -> str:
    """Returns a hash of the rows of each part with their targets, whatever their order.

    Args:
        ids: Content ids of the full training set, `N` rows.
        parts: Indices of each part.
        targets: Targets `[N]`.
    """
    names, ordered = np.array(ids), {}
    for name, part in parts.items():
        of_part, own = targets[part].numpy(), names[part.numpy()]
        order = np.lexsort((of_part, own))
        ordered[name] = torch.frombuffer(bytearray("".join(own[order]).encode() or b"-"), dtype=torch.uint8).long()
        ordered[f"{name}_targets"] = torch.from_numpy(of_part[order])
    return fingerprint(**ordered)
