"""Wrong labels from a file of the user's own."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.paths import find_path, require_file
from litzoo.datamodules.splits.core import position_of

OPTION = "FileNoise.file"
_NAMED = 3
"""Samples that a message names at most."""


class FileNoise:
    """Labels of the training samples from your own file, in place of the data set's, which count as the true ones.

    - A CSV file with a header. The column `label` has class names, or numbers of classes from 0. Another column names
      the samples: `file` (images in folders, as in `predictions.csv`), `row` (tables: the line of the file), or `index`
      (position in the full training set, from 0, as in the batches). Without such a column there is one row for each
      training sample, in order. Samples that no row names keep their label, with a warning.
    - An NPY file (`numpy.save`) with one label for each training sample, in order.

    Order and `index` are refused where the training set is drawn from a folder or table by its content: there the
    positions change when files are added.

    Args:
        file: Path of the file, looked up in the working folder, then in `data.root`.
        column: Name of the column of labels.
    """

    def __init__(self, file: str, column: str = "label") -> None:
        if not file:
            raise ValueError(f"{OPTION}: is empty; give the path of a CSV or NPY file of labels")
        self.file, self.column = file, column

    def given_labels(
        self,
        root: Path,
        true_labels: Tensor,
        class_names: Sequence[str],
        sample_names: Mapping[str, Sequence[str]],
        ordered: bool = True,
    ) -> Tensor:
        """Returns the label that the file gives each training sample, else its own, int64 `[N]`.

        Args:
            root: Folder of the data.
            true_labels: Labels of the full training set, int64 `[N]`.
            class_names: Names of the classes, in the order of the labels.
            sample_names: Name of a column -> what it calls each of the N samples.
            ordered: Whether the samples have an order of their own, so that positions can name them.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not such a file, names no training sample, or has a label that is no class.
        """
        path = find_path(self.file, root)
        key, samples, cells = _read(path, self.column, [*sample_names, "index"])
        labels = _as_classes(path, cells, class_names)
        if key in (None, "index") and not ordered:
            raise ValueError(
                f"{OPTION}: {path} names samples by their position, which changes when these data grow; name them in "
                f"a column {' or '.join(map(repr, sample_names))}"
            )
        count = len(true_labels)
        if key is None:
            if len(labels) != count:
                raise ValueError(
                    f"{OPTION}: {path} has {len(labels)} labels, but the full training set has {count} samples "
                    "(with those for validation); give one for each, or name the samples in a column "
                    f"{', '.join(map(repr, [*sample_names, 'index']))}"
                )
            return torch.from_numpy(labels)
        names = [str(index) for index in range(count)] if key == "index" else list(sample_names[key])
        positions = _positions(path, key, samples, labels, names)
        given = true_labels.clone()
        given[list(positions)] = torch.from_numpy(labels[list(positions.values())])
        if len(positions) < count:
            rank_zero_warn(
                f"{OPTION}: {path} names {len(positions):,} of {count:,} training samples; the others keep their label"
            )
        return given


def _positions(
    path: Path, key: str, samples: Sequence[str], labels: np.ndarray, names: Sequence[str]
) -> dict[int, int]:
    """Returns position in the training set -> row of the file."""
    place = {name: position for position, name in enumerate(names)}
    found: dict[int, int] = {}
    elsewhere = []
    for row, sample in enumerate(samples):
        if (position := place.get(sample)) is None:
            elsewhere.append(sample)
        elif labels[found.setdefault(position, row)] != labels[row]:
            raise ValueError(
                f"{OPTION}: {path} gives {key} {sample} two labels, in rows {found[position] + 2} and {row + 2}; keep "
                "one of them"
            )
    named = ", ".join(elsewhere[:_NAMED]) + (", …" if elsewhere[_NAMED:] else "")
    if not found or (elsewhere and key == "index"):
        raise ValueError(
            f"{OPTION}: {path} names {counted(len(elsewhere), 'sample that is', 'samples that are')} not in the "
            f"training set ({key} {named}); it has {len(names):,}, such as {key} {names[0]}"
        )
    if elsewhere:
        one = f"row of {path} names a sample that is not in the training set, and is not used"
        more = f"rows of {path} name samples that are not in the training set, and are not used"
        rank_zero_warn(f"{OPTION}: {counted(len(elsewhere), one, more)} ({key} {named}); test labels stay as they are")
    return found


def _as_classes(path: Path, cells: Sequence[str], class_names: Sequence[str]) -> np.ndarray:
    """Returns class names, or numbers of classes, as labels, int64."""
    table = {}
    for row, cell in enumerate(cells):
        if cell not in table:
            try:
                table[cell] = _position(cell, class_names)
            except ValueError as error:
                raise ValueError(f"{OPTION}: {path}, label {row + 1}: {str(error).partition(': ')[2]}") from None
    return np.array([table[cell] for cell in cells], dtype=np.int64)


def _position(cell: str, class_names: Sequence[str]) -> int:
    try:
        number = float(cell)
        whole = int(number) if number.is_integer() else None
    except ValueError:
        whole = None
    if cell in class_names or whole is None:
        return position_of(OPTION, cell, class_names)
    return position_of(OPTION, whole, class_names)


def _read(path: Path, column: str, keys: Sequence[str]) -> tuple[str | None, list[str], list[str]]:
    """Returns the name of the column that names the samples, these names, and the labels."""
    try:
        require_file(path)
        if path.suffix.lower() == ".npy":
            return None, [], _from_array(path)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileNotFoundError(
            f"{OPTION}: {path} cannot be read ({error.strerror or error}); it is looked up in the working folder, then "
            "in data.root"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{OPTION}: {path} is not text in UTF-8 ({error.reason}); give a CSV or NPY file") from error
    lines = [line for line in text.splitlines() if line.strip()]
    separator = max((",", ";", "\t"), key=(lines[0] if lines else "").count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    header = rows.pop(0) if rows else []
    if header.count(column) != 1 or not rows:
        raise ValueError(
            f"{OPTION}: {path} has the columns {', '.join(header) or 'of an empty file'} and {len(rows)} rows; it "
            f"needs a column {column!r} (FileNoise.column), and one of {', '.join(keys)} to name the samples"
        )
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(
                f"{OPTION}: {path}, row {number} has {counted(len(row), 'cell')}, the header {len(header)}"
            )
        if not row[header.index(column)]:
            raise ValueError(f"{OPTION}: {path}, row {number} has no {column}; fill it, or remove the row")
    key = next((each for each in keys if each in header), None)
    samples = [] if key is None else [row[header.index(key)] for row in rows]
    return key, samples, [row[header.index(column)] for row in rows]


def _from_array(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{OPTION}: {path} is damaged, or not an array of numbers or texts ({error}); it was not loaded"
        ) from error
    if array.ndim != 1 or array.dtype.kind not in "iufU":
        kind = f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"{OPTION}: {path} holds {kind}; give one label for each training sample, a number or a name")
    return [str(each) for each in array.tolist()]
