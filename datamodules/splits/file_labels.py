"""The labels of image files after corrections, and where those of copies contradict each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.batch import UNKNOWN


def corrected_labels(
    corrected: Mapping[str, str | None],
    names: Sequence[str],
    labels: Tensor,
    unlabeled: np.ndarray,
    class_names: Sequence[str],
) -> tuple[Tensor, np.ndarray]:
    """Returns the labels after the corrections, int64 `[N]`, and which files these drop, bool `[N]`.

    Args:
        corrected: Name of a file -> its class, or `None` if it is dropped.
        names: Names of the `N` files.
        labels: Their labels, int64 `[N]`.
        unlabeled: Which of them have none, so that they are not meant, bool `[N]`.
        class_names: Names in the order of the labels; others are refused when the corrections are applied.
    """
    numbers = {name: number for number, name in enumerate(class_names)}
    said = [corrected.get(name, "") if not pool else "" for name, pool in zip(names, unlabeled.tolist(), strict=True)]
    final = [numbers.get(name or "", label) for name, label in zip(said, labels.tolist(), strict=True)]
    return torch.tensor(final, dtype=torch.int64), np.array([name is None for name in said], dtype=bool)


def disputed(paths: Sequence[Path], ids: Sequence[str], labels: Tensor, dropped: np.ndarray) -> list[Path]:
    """Returns labeled files with the same content and different labels, without those that are dropped.

    Args:
        paths: The `N` files.
        ids: Their content ids.
        labels: Their labels, int64 `[N]`.
        dropped: Which of them are dropped, bool `[N]`.
    """
    labels_of: dict[str, set[int]] = {}
    used = np.flatnonzero((labels != UNKNOWN).numpy() & ~dropped).tolist()
    for each in used:
        labels_of.setdefault(ids[each], set()).add(int(labels[each]))
    return [paths[each] for each in used if len(labels_of[ids[each]]) > 1]


def contradicted(
    paths: Sequence[Path], labels: Tensor, left_out: Mapping[int, int], class_names: Sequence[str]
) -> dict[Path, tuple[str, str]]:
    """Returns which files that are left out have another label than their copy: file -> its class, that of the copy.

    Args:
        paths: The `N` files.
        labels: Their labels, int64 `[N]`.
        left_out: Position of a file that is left out -> that of the file that it duplicates.
        class_names: Names in the order of the labels.
    """
    found = {paths[each]: (int(labels[each]), int(labels[original])) for each, original in left_out.items()}
    return {
        path: (class_names[own], class_names[other])
        for path, (own, other) in found.items()
        if own != other and UNKNOWN not in (own, other)
    }
