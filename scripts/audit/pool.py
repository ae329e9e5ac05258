"""All labeled samples of a datamodule as one set, and its folds."""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from litzoo.callbacks.samples import ABSENT
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.class_labels import ClassLabels
from litzoo.datamodules.dataset import IndexedDataset, Rows
from litzoo.datamodules.images.image_folder import ImageFolderDataModule
from litzoo.datamodules.splits.core import EMPTY, Split
from litzoo.datamodules.splits.folds import fold_numbers, require_in_each_fold
from litzoo.datamodules.splits.record import fingerprint

PARTS = ("train", "val", "test")
CHUNK = 1000
"""Samples that are read at a time."""


class JoinedRows:
    """The rows of two sources, one after the other.

    Args:
        first: `M` rows.
        second: `N` rows of the same shape and type.
    """

    def __init__(self, first: Rows, second: Rows) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.index_select(0, index) if index.ndim else self.index_select(0, index[None])[0]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Returns rows `[n, ...]`; `dim` is 0."""
        after = index >= len(self.first)
        if not after.any():
            return self.first.index_select(dim, index)
        rows = self.second.index_select(dim, index[after] - len(self.first))
        if after.all():
            return rows
        joined = torch.empty(len(index), *rows.shape[1:], dtype=rows.dtype)
        joined[after], joined[~after] = rows, self.first.index_select(dim, index[~after])
        return joined


class Pool(NamedTuple):
    """The labeled samples of all parts.

    Attributes:
        rows: Inputs of the training set, then of the test set.
        targets: Their labels, int64 `[M + N]`.
        clean: Their true labels, `ABSENT` where they are not known to differ from the labels.
        chosen: Positions in `rows` that are audited, int64 `[n]`, sorted.
        part: Number in `PARTS` of each row `[M + N]`; -1 for those that are not audited.
        training: M.
    """

    rows: JoinedRows
    targets: Tensor
    clean: Tensor
    chosen: Tensor
    part: Tensor
    training: int

    def index_of(self, positions: Tensor) -> Tensor:
        """Returns the positions in the full training set, or in the test set."""
        return torch.where(positions < self.training, positions, positions - self.training)

    def files(self, datamodule: ClassLabels, positions: Tensor) -> list[str]:
        """Returns the file names of samples; an empty list if they are not files."""
        names = [*datamodule.files.get("train", []), *datamodule.files.get("test", [])]
        return [names[position] for position in positions.tolist()] if len(names) == len(self.rows) else []

    def names(self, datamodule: ClassLabels) -> list[str]:
        """Returns a name of each row: its file, else `train 17`, its set and its position there."""
        everything = torch.arange(len(self.rows))
        return self.files(datamodule, everything) or [
            f"{PARTS[part] if part >= 0 else 'unused'} {index}"
            for part, index in zip(self.part.tolist(), self.index_of(everything).tolist(), strict=True)
        ]

    def content_ids(self, datamodule: ClassLabels, positions: Tensor) -> list[str]:
        """Returns the content ids of samples; an empty list if they have none."""
        ids = [*datamodule.content_ids("train"), *datamodule.content_ids("test")]
        return [ids[position] for position in positions.tolist()] if len(ids) == len(self.rows) else []

    def fingerprint(self) -> str:
        """Returns a hash of the audited positions and their labels."""
        return fingerprint(chosen=self.chosen, targets=self.targets[self.chosen], part=self.part[self.chosen])

    def content(self) -> str:
        """Returns a hash of the audited inputs, as the model gets them for evaluation."""
        digest = hashlib.sha256()
        for positions in self.chosen.split(CHUNK):
            digest.update(self.rows.index_select(0, positions).contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def pool_of(datamodule: ClassLabels) -> Pool:
    """Joins the training, validation and test samples of a datamodule that has been set up for fitting and testing."""
    assert datamodule.split is not None
    assert datamodule.targets is not None
    assert datamodule.train_set is not None
    assert datamodule.test_set is not None
    training, test = datamodule.train_set.inputs, datamodule.test_set
    size = len(training)
    part = torch.full((size + len(test.inputs),), -1)
    part[datamodule.split.train], part[datamodule.split.val] = 0, 1
    part[size + test.indices] = 2
    targets = torch.cat([datamodule.targets, test.targets])
    part[targets == UNKNOWN] = -1
    clean = torch.full_like(targets, ABSENT)
    if datamodule.label_noise is not None and datamodule.clean_targets is not None:
        clean = torch.cat([datamodule.clean_targets, test.targets])
    chosen = torch.nonzero(part >= 0)[:, 0]
    return Pool(JoinedRows(training, test.inputs), targets, clean, chosen, part, size)


def folds_of(pool: Pool, folds: int, seed: int, names: tuple[str, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the positions to train on and those to judge, for each fold; every class is spread evenly.

    Raises:
        ValueError: If a class has fewer samples than there are folds.
    """
    labels = pool.targets[pool.chosen]
    require_in_each_fold("--folds", folds, torch.bincount(labels, minlength=len(names)).tolist(), names)
    numbers = torch.from_numpy(fold_numbers(labels.numpy(), folds, seed))
    for fold in range(folds):
        yield pool.chosen[numbers != fold], pool.chosen[numbers == fold]


def serve_fold(datamodule: Any, pool: Pool, train: Tensor, held_out: Tensor) -> None:
    """Makes a datamodule serve a fold: its training set is `train`, its validation set `held_out`."""
    if isinstance(datamodule, ImageFolderDataModule):
        datamodule.read_all_photos()
    datamodule.targets, datamodule.split = pool.targets, Split(train, held_out, EMPTY)
    datamodule.train_set = IndexedDataset(pool.rows, pool.targets, train)
    datamodule.val_set = IndexedDataset(pool.rows, pool.targets, held_out)
