"""Labels of images in a CSV file: `file,label` or `file,label,split`."""

import csv
import io
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
from litzoo.datamodules.io.listed_images import in_other_case, listed_image
from litzoo.datamodules.io.paths import require_file

_SEPARATORS = (",", ";", "\t")
_NAMES = {
    "file": ("file_name", "filename", "file_path", "filepath", "image", "image_name", "image_path", "path"),
    "label": ("class", "class_name", "category", "target"),
}
"""Column -> other names of it in a header, taken if there is no column of its own name."""
_SHOWN = 3
"""Examples of a kind that a message lists."""


class LabelFile:
    """Images with the labels, and perhaps the parts, that a CSV file gives them.

    Args:
        path: CSV file with a header that names the columns `file`, `label` and, if it gives the parts, `split` (one of
            the names in `PART_NAMES`, in any case), in any order. Usual names such as `filename`, `image` or `path`, or
            `class`, are taken for `file` and `label`. Other columns are ignored. The separator is a comma, a semicolon
            or a tab. Rows that are alike count once.
        folder: Folder that the file names are relative to; see `listed_image`.
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
        for number, file, label, split in rows:
            image, part = listed_image(folder, file), _part_of(split, path, number) if has_split else "train"
            if image in listed:
                repeated[image] = None
            listed.setdefault(image, {}).setdefault((label, part), number)
            names.setdefault(image, file)
        absent = [image for image in listed if not image.is_file()]
        present = images_in(folder)
        self._report(listed, names, list(repeated), absent, present, skip_absent)
        if absent:
            self.left_out[f"named in {path.name}, but absent"] = [names[image] for image in absent]
        by_part: dict[str, list[tuple[str, str, Path]]] = {}
        gone = {*absent}
        for image, given in listed.items():
            ((label, part),) = given
            if image not in gone:
                by_part.setdefault(part, []).append((label, image.as_posix(), image))
        if unnamed := sorted(set(present) - set(listed)):
            self.left_out[f"not named in {path.name}"] = [each.relative_to(folder).as_posix() for each in unnamed]
        if "train" not in by_part:
            is_named = any(part == "train" for given in listed.values() for _, part in given)
            problem = "all files of the split train are absent" if is_named else "no row has the split train"
            raise ValueError(f"{path}: {problem}; name the training images")
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
        absent: Sequence[Path],
        present: Sequence[Path],
        skip_absent: bool,
    ) -> None:
        """Warns of files that are listed twice alike; refuses contradictions and absent files, all in one message.

        Args:
            listed: File -> its labels and parts -> the first row with these.
            names: File -> its name in the table.
            repeated: Files in several rows.
            absent: Files that are not there.
            present: Images in the folder.
            skip_absent: Whether absent files are accepted, unless all are absent.
        """
        differ = [image for image in repeated if len(listed[image]) > 1]
        relabeled = [image for image in differ if len({label for label, _ in listed[image]}) > 1]
        moved = [image for image in differ if len({label for label, _ in listed[image]}) == 1]
        problems = []
        if differ:
            shown = []
            for image in relabeled[:_SHOWN] + moved[:_SHOWN]:
                rows = [
                    f"{label if image in relabeled else part} in row {row}"
                    for (label, part), row in listed[image].items()
                ]
                shown.append(f"{names[image]} ({', '.join(rows)})")
            kinds = [f"{len(relabeled)} of them with different labels"] if relabeled else []
            kinds += [f"{len(moved)} in different splits"] if moved else []
            problems.append(
                f"{counted(len(repeated), 'file is', 'files are')} listed twice, {', '.join(kinds)}: "
                f"{', '.join(shown)}{', …' if len(shown) < len(differ) else ''}; keep one row of each"
            )
        elif repeated:
            rank_zero_warn(
                f"{self.path}: {counted(len(repeated), 'file is', 'files are')} listed twice with the same label, and "
                f"taken once: {_examples([names[image] for image in repeated])}"
            )
        if absent and (not skip_absent or len(absent) == len(listed)):
            shown = [names[image] + " (a folder)" * image.is_dir() for image in absent]
            is_partial = len(absent) < len(listed)
            skip = ", set data.folder, or leave them out with data.corrupt skip"
            fixes = skip if is_partial else " or set data.folder"
            problems.append(
                f"{len(absent) if is_partial else 'all'} of {len(listed)} files that it names are not in "
                f"{self.folder}: {_examples(shown)}{self._other_case(absent, names, present)}; put them there{fixes}"
            )
        if problems:
            kind = ValueError if differ else FileNotFoundError
            raise kind(f"{self.path}: {'. Also, '.join(problems)}")

    def _other_case(self, absent: Sequence[Path], names: Mapping[Path, str], present: Sequence[Path]) -> str:
        """Returns what to say of absent files whose name is there in other case; empty if there are none."""
        if not (found := in_other_case(self.folder, absent, present)):
            return ""
        image, other = next(iter(found.items()))
        return (
            f"; {counted(len(found), 'of these is', 'of these are')} there in other case, such as "
            f"{other.relative_to(self.folder).as_posix()} for {names[image]}: write the names as the files have them"
        )


def _read(path: Path) -> tuple[list[tuple[int, str, str, str]], bool]:
    """Returns number, file, label and split of each row, and whether there is a column of splits.

    The number of a row is that of its first line in the file, from 1.
    """
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
    rows = _numbered_rows(text, path)
    header = ["_".join(re.split(r"[\s_-]+", name.lower())) for name in rows[0][1]] if rows else []
    places = {name: _place_of(name, header, path) for name in ("file", "label")}
    if "split" in header:
        places["split"] = header.index("split")
    cells: list[tuple[int, str, str, str]] = []
    empty: list[tuple[int, str]] = []
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {counted(len(row), 'cell')}, the header {len(header)}")
        values = [row[place] for place in places.values()]
        if not all(values):
            empty.append((number, list(places)[values.index("")]))
            continue
        if UNPRINTABLE.search(values[1]):
            raise ValueError(f"{path}: row {number} has a label that cannot be displayed, {values[1]!a}; rename it")
        cells.append((number, values[0], unicodedata.normalize("NFC", values[1]), values[2] if len(values) > 2 else ""))
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


def _numbered_rows(text: str, path: Path) -> list[tuple[int, list[str]]]:
    """Returns the number of the first line, and the cells, of each row that is not blank."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    # A stream, not a list of lines, so that a cell may hold a line break.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows, number = [], 1
    try:
        for row in reader:
            if separator.join(row).strip():
                rows.append((number, [cell.strip() for cell in row]))
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}: row {number} cannot be read as CSV ({error})") from error
    return rows


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
