"""Labels of images in a CSV file: `file,label` or `file,label,split`."""

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.datamodules.class_spellings import warn_of_spellings
from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.class_folders import UNPRINTABLE, images_in
from litzoo.datamodules.io.image_layouts import PART_NAMES
from litzoo.datamodules.io.paths import require_file

_SEPARATORS = (",", ";", "\t")
_NAMES = {
    "file": ("file_name", "filename", "file_path", "filepath", "image", "image_name", "image_path", "path"),
    "label": ("class", "class_name", "category", "target"),
}
"""Column -> other names of it in a header, taken if there is no column of its own name."""
_SHOWN = 3
"""Examples that a message lists."""


class LabelFile:
    """Images with the labels, and perhaps the parts, that a CSV file gives them.

    Args:
        path: CSV file with a header that names the columns `file`, `label` and, if it gives the parts, `split` (one of
            the names in `PART_NAMES`, in any case), in any order. Usual names such as `filename`, `image` or `path`, or
            `class`, are taken for `file` and `label`. Other columns are ignored. The separator is a comma, a semicolon
            or a tab. Rows that are alike count once.
        folder: Folder that the file names are relative to.
        skip_absent: Whether to leave out rows whose file is absent; else they raise an error.

    Raises:
        FileNotFoundError: If the CSV file or an image is absent.
        ValueError: If a column is missing, a cell is empty, a split is none of the names, a file has several labels
            or parts, or there are fewer than two classes.
    """

    def __init__(self, path: Path, folder: Path, skip_absent: bool = False) -> None:
        self.path, self.folder = path, folder
        rows, has_split = _read(path)
        self.left_out: dict[str, list[str]] = {}
        listed: dict[Path, dict[tuple[str, str], int]] = {}
        names: dict[Path, str] = {}
        repeated: dict[Path, None] = {}
        for number, (file, label, split) in enumerate(rows, start=2):
            image, part = folder / file, _part_of(split, path, number) if has_split else "train"
            if image in listed:
                repeated[image] = None
            listed.setdefault(image, {}).setdefault((label, part), number)
            names.setdefault(image, file)
        absent = [file for image, file in names.items() if not image.exists()]
        self._report(listed, names, list(repeated), absent, skip_absent)
        if absent:
            self.left_out[f"named in {path.name}, but absent"] = absent
        by_part: dict[str, list[tuple[str, str, Path]]] = {}
        gone = {*absent}
        for image, given in listed.items():
            ((label, part),) = given
            if names[image] not in gone:
                by_part.setdefault(part, []).append((label, names[image], image))
        if unnamed := sorted(set(images_in(folder)) - set(listed)):
            self.left_out[f"not named in {path.name}"] = [each.relative_to(folder).as_posix() for each in unnamed]
        if "train" not in by_part:
            raise ValueError(f"{path}: no row has the split train; name the training images")
        self._rows = {part: sorted(rows) for part, rows in by_part.items()}
        self.parts: tuple[str, ...] = tuple(part for part in ("train", "val", "test") if part in by_part)
        self.class_names = tuple(sorted({label for label, _, _ in by_part["train"]}))
        if len(self.class_names) < 2:
            raise ValueError(f"{path}: 1 class ({self.class_names[0]}) in training; it needs at least 2")
        warn_of_spellings(self.class_names, str(path))

    def files(self, part: str) -> tuple[list[Path], Tensor]:
        """Returns the files of a part and their labels; raises as `ImageLayout.files`."""
        rows = self._rows[part]
        if extra := {label for label, _, _ in rows} - set(self.class_names):
            raise ValueError(
                f"{self.path}: {part} has labels that the training set does not have: {', '.join(sorted(extra))}; put "
                "images of unknown classes into a separate folder and name it in data.unknowns"
            )
        labels = torch.tensor([self.class_names.index(label) for label, _, _ in rows])
        return [path for _, _, path in rows], labels

    def _report(
        self,
        listed: Mapping[Path, Mapping[tuple[str, str], int]],
        names: Mapping[Path, str],
        repeated: Sequence[Path],
        absent: Sequence[str],
        skip_absent: bool,
    ) -> None:
        """Warns of files that are listed twice alike; refuses contradictions and absent files, all in one message.

        Args:
            listed: File -> its labels and parts -> the first row with these.
            names: File -> its name in the table.
            repeated: Files in several rows.
            absent: Names of files that are not there.
            skip_absent: Whether absent files are accepted.
        """
        differ = [image for image in repeated if len(listed[image]) > 1]
        relabeled = [image for image in differ if len({label for label, _ in listed[image]}) > 1]
        problems = []
        if differ:
            shown = []
            for image in (relabeled or differ)[:_SHOWN]:
                rows = [
                    f"{label if image in relabeled else part} in row {row}"
                    for (label, part), row in listed[image].items()
                ]
                shown.append(f"{names[image]} ({', '.join(rows)})")
            kinds = [f"{len(relabeled)} of them with different labels"] if relabeled else []
            kinds += [f"{len(differ) - len(relabeled)} in different splits"] if len(differ) > len(relabeled) else []
            problems.append(
                f"{counted(len(repeated), 'file is', 'files are')} listed twice, {', '.join(kinds)}: "
                f"{', '.join(shown)}{', …' if differ[_SHOWN:] else ''}; keep one row of each"
            )
        elif repeated:
            rank_zero_warn(
                f"{self.path}: {counted(len(repeated), 'file is', 'files are')} listed twice with the same label, and "
                f"taken once: {_examples([names[image] for image in repeated])}"
            )
        if absent and not skip_absent:
            problems.append(
                f"{len(absent)} of {len(listed)} files that it names are not in {self.folder}: "
                f"{_examples(absent)}; put them there, set data.folder, or leave them out with data.corrupt skip"
            )
        if problems:
            kind = ValueError if differ else FileNotFoundError
            raise kind(f"{self.path}: {'. Also, '.join(problems)}")


def _read(path: Path) -> tuple[list[tuple[str, str, str]], bool]:
    """Returns file, label and split of each row, and whether there is a column of splits."""
    try:
        require_file(path)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error.reason}); save it as CSV in UTF-8") from error
    except OSError as error:
        raise FileNotFoundError(
            f"data.labels_file: {path} cannot be read ({error.strerror or error}); it is looked up in the working "
            "folder, then in data.root, then in data.folder"
        ) from error
    lines = [line for line in text.splitlines() if line.strip()]
    separator = max(_SEPARATORS, key=(lines[0] if lines else "").count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    header = ["_".join(re.split(r"[\s_-]+", name.lower())) for name in rows[0]] if rows else []
    places = {name: _place_of(name, header, path) for name in ("file", "label")}
    if "split" in header:
        places["split"] = header.index("split")
    cells: list[tuple[str, str, str]] = []
    empty: list[tuple[int, str]] = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {counted(len(row), 'cell')}, the header {len(header)}")
        values = [row[place] for place in places.values()]
        if not all(values):
            empty.append((number, list(places)[values.index("")]))
            continue
        if UNPRINTABLE.search(values[1]):
            raise ValueError(f"{path}: row {number} has a label that cannot be displayed, {values[1]!a}; rename it")
        cells.append((values[0], unicodedata.normalize("NFC", values[1]), values[2] if len(values) > 2 else ""))
    if empty:
        hint = "; put images without a label into a folder of their own, and name it in data.unlabeled_folder"
        others = ", ".join(f"row {number} has no {name}" for number, name in empty[1:_SHOWN])
        more = f" ({counted(len(empty), 'such row')}; {others}{', …' if empty[_SHOWN:] else ''})" if empty[1:] else ""
        number, name = empty[0]
        has_hint = "label" in (each for _, each in empty)
        raise ValueError(f"{path}: row {number} has no {name}{more}{hint if has_hint else ''}")
    if not cells:
        raise ValueError(f"{path}: has no row below its header")
    return cells, "split" in header


def _place_of(name: str, header: Sequence[str], path: Path) -> int:
    """Returns the position of a column, by its name or else another that is usual."""
    found = [each for each in header if each == name] or [each for each in header if each in _NAMES[name]]
    if len(found) != 1:
        raise ValueError(
            f"{path}: the header needs one column {name!r}; it has {', '.join(map(repr, header)) or 'nothing'}. The "
            f"columns are file, label and, if you like, split; {name} may also be called {', '.join(_NAMES[name])}"
        )
    return header.index(found[0])


def _examples(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if names[_SHOWN:] else "")


def _part_of(split: str, path: Path, number: int) -> str:
    if (part := PART_NAMES.get(split.lower())) is None:
        raise ValueError(f"{path}: row {number} has the split {split!r}; give one of {', '.join(PART_NAMES)}")
    return part
