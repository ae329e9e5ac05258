"""Labels of images in a CSV file: `file,label` or `file,label,split`."""

import csv
import unicodedata
from pathlib import Path

import torch
from torch import Tensor

from litzoo.datamodules.class_spellings import warn_of_spellings
from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.class_folders import UNPRINTABLE, images_in
from litzoo.datamodules.io.image_layouts import PART_NAMES
from litzoo.datamodules.io.paths import require_file

_SEPARATORS = (",", ";", "\t")


class LabelFile:
    """Images with the labels, and perhaps the parts, that a CSV file gives them.

    Args:
        path: CSV file with a header that names the columns `file`, `label` and, if it gives the parts, `split` (one of
            the names in `PART_NAMES`, in any case), in any order. Other columns are ignored. The separator is a comma,
            a semicolon or a tab.
        folder: Folder that the file names are relative to.
        skip_absent: Whether to leave out rows whose file is absent; else they raise an error.

    Raises:
        FileNotFoundError: If the CSV file or an image is absent.
        ValueError: If a column is missing, a cell is empty, a split is none of the names, a file is named twice, or
            there are fewer than two classes.
    """

    def __init__(self, path: Path, folder: Path, skip_absent: bool = False) -> None:
        self.path, self.folder = path, folder
        rows, has_split = _read(path)
        self.left_out: dict[str, list[str]] = {}
        of_file: dict[Path, int] = {}
        by_part: dict[str, list[tuple[str, str, Path]]] = {}
        absent: list[str] = []
        for number, (file, label, split) in enumerate(rows, start=2):
            image = folder / file
            if (first := of_file.setdefault(image, number)) != number:
                raise ValueError(f"{path}: row {number} names {file} again, after row {first}; keep one of them")
            if not image.exists():
                absent.append(file)
                continue
            by_part.setdefault(_part_of(split, path, number) if has_split else "train", []).append((label, file, image))
        if absent:
            named = ", ".join(absent[:3]) + (", …" if absent[3:] else "")
            if not skip_absent:
                raise FileNotFoundError(
                    f"{path} names {len(absent)} of {len(rows)} files that are not in {folder}: {named}; put them "
                    "there, set data.folder, or leave them out with data.corrupt skip"
                )
            self.left_out[f"named in {path.name}, but absent"] = absent
        if unnamed := sorted(set(images_in(folder)) - set(of_file)):
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
    header = [name.lower() for name in rows[0]] if rows else []
    for name in ("file", "label"):
        if header.count(name) != 1:
            raise ValueError(
                f"{path}: the header needs one column {name!r}; it has {', '.join(map(repr, header)) or 'nothing'}. "
                "The columns are file, label and, if you like, split"
            )
    columns = [header.index(name) for name in ("file", "label", "split") if name in header]
    cells: list[tuple[str, str, str]] = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {counted(len(row), 'cell')}, the header {len(header)}")
        values = [row[column] for column in columns]
        if empty := [header[column] for column in columns if not row[column]]:
            hint = "; put images without a label into a folder of their own, and name it in data.unlabeled_folder"
            raise ValueError(f"{path}: row {number} has no {empty[0]}{hint if empty[0] == 'label' else ''}")
        if UNPRINTABLE.search(values[1]):
            raise ValueError(f"{path}: row {number} has a label that cannot be displayed, {values[1]!a}; rename it")
        cells.append((values[0], unicodedata.normalize("NFC", values[1]), values[2] if len(values) > 2 else ""))
    if not cells:
        raise ValueError(f"{path}: has no row below its header")
    return cells, "split" in header


def _part_of(split: str, path: Path, number: int) -> str:
    if (part := PART_NAMES.get(split.lower())) is None:
        raise ValueError(f"{path}: row {number} has the split {split!r}; give one of {', '.join(PART_NAMES)}")
    return part
