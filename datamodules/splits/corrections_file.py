"""Reads files of corrections, such as `corrections.csv` of an audit's page."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.csv_text import SEPARATORS, decoded

Part = Literal["train", "test"]
ACTIONS = ("keep", "relabel", "drop")


@dataclass(frozen=True)
class Correction:
    """One row of the file.

    Attributes:
        row: Its line in the file, for messages.
        id: Content id of the sample; empty if the file does not say.
        file: Name of the sample's file; empty if it is named by its index.
        part: `train` or `test`, for samples named by their index.
        index: Position in the full training set or the test set; -1 if the sample is named by its file.
        action: `keep`, `relabel` or `drop`.
        label: Name of the new class; empty unless it is relabelled.
        given: Name of the label that the row was written for; empty if the file does not say.
    """

    row: int
    id: str
    file: str
    part: Part
    index: int
    action: str
    label: str
    given: str

    @property
    def sample(self) -> str:
        """What the row names, for messages."""
        return self.file or (f"id {self.id}" if self.id else f"{self.part} {self.index}")


def read_corrections(path: Path) -> list[Correction]:
    """Reads the rows of a file of corrections, those that are there twice once.

    A spreadsheet may have saved it with another separator or encoding.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a file, or rows contradict each other.
    """
    text, _ = decoded(path, "give the path of a corrections.csv", None, "data.corrections", "save it as UTF-8")
    try:
        tables = [_lines(text, separator) for separator in SEPARATORS]
    except csv.Error as error:
        raise ValueError(f"data.corrections: {path} is not a CSV file ({error})") from error
    lines = next((each for each in tables if each and "action" in each[0][1]), tables[0])
    header = lines[0][1] if lines else []
    if "action" not in header or not {"file", "index", "content_id"} & set(header):
        raise ValueError(
            f"data.corrections: {path} has the columns {', '.join(header) or 'of an empty file'}; it needs file or "
            "index, action (keep, relabel or drop), and label for the new class"
        )
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise ValueError(
                f"data.corrections: {path}, row {number} has {counted(len(cells), 'cell')}, the header {len(header)}"
            )
        rows.append(_parsed(path, number, dict(zip(header, cells, strict=True))))
    return _without_contradictions(path, rows)


def _lines(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Returns the lines with a cell that is not empty, as stripped cells with their number in the file."""
    lines = enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), start=1)
    return [(number, [cell.strip() for cell in line]) for number, line in lines if any(line)]


def _parsed(path: Path, number: int, cells: Mapping[str, str]) -> Correction:
    action, label, part = cells["action"], cells.get("label", ""), cells.get("part") or "train"
    file, index, content = cells.get("file", ""), cells.get("index", ""), cells.get("content_id", "")
    problem = None
    if action not in ACTIONS:
        problem = f"the action {action!r}, which is none of {', '.join(ACTIONS)}"
    elif action == "relabel" and not label:
        problem = "the action relabel, but no label"
    elif not file and not content and not (index.isascii() and index.isdigit()):
        problem = f"neither a file nor an index, but {index!r}"
    elif part not in ("train", "val", "test"):
        problem = f"the part {part!r}, which is none of train, val, test"
    if problem:
        raise ValueError(f"data.corrections: {path}, row {number} has {problem}")
    return Correction(
        row=number,
        id=content,
        file=file,
        part="test" if part == "test" else "train",  # validation samples count in the full training set
        index=int(index) if index.isascii() and index.isdigit() and not file else -1,
        action=action,
        label=label if action == "relabel" else "",
        given=cells.get("given", ""),
    )


def _without_contradictions(path: Path, rows: Sequence[Correction]) -> list[Correction]:
    """Returns the rows without repetitions; raises if two name the same sample and differ."""
    first: dict[str, Correction] = {}
    for row in rows:
        # Rows of a table with equal content have the same id; they differ in part or index.
        sample = f"{row.sample} {row.part} {row.index}" if row.id and not row.file else row.sample
        other = first.setdefault(sample, row)
        if (other.action, other.label) != (row.action, row.label):
            said = [f"{each.action} {each.label}".strip() for each in (other, row)]
            raise ValueError(
                f"data.corrections: {path} contradicts itself: {row.sample} has {said[0]!r} in row {other.row} and "
                f"{said[1]!r} in row {row.row}; keep one of them"
            )
    return list(first.values())
