"""Reads files of corrections, such as `corrections.csv` of an audit's page."""

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from litzoo.datamodules.counted import counted
from litzoo.datamodules.io.csv_text import SEPARATORS, decoded

Part = Literal["train", "test"]
ACTIONS = ("keep", "relabel", "drop")
_SHOWN = 10
"""Rows with the same fault that a message lists."""


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


def read_corrections(path: Path) -> tuple[list[Correction], list[str]]:
    """Reads the rows of a file of corrections, those that are there twice once.

    A spreadsheet may have saved it with another separator or encoding. Actions are taken in any case.

    Returns:
        The rows, and what is wrong with others, so that it can be told together with what the data show to be wrong:
        one message for each fault, with the rows that have it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a file.
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
    rows: list[Correction] = []
    faults: dict[str, list[int]] = {}
    for number, cells in lines[1:]:
        found: Correction | str = f"{counted(len(cells), 'cell')}, the header {len(header)}"
        if len(cells) == len(header):
            found = _parsed(number, dict(zip(header, cells, strict=True)))
        if isinstance(found, str):
            faults.setdefault(found, []).append(number)
        else:
            rows.append(found)
    rows, contradictions = _without_contradictions(rows)
    problems = [f"{rows_text(each)} {'has' if len(each) == 1 else 'have'} {fault}" for fault, each in faults.items()]
    return rows, [*problems, *contradictions]


def rows_text(rows: Sequence[int]) -> str:
    """Returns `row 2`, or `rows 2, 3, 5`, for messages."""
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {', '.join(map(str, rows[:_SHOWN]))}{more}"


def _lines(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Returns the lines with a cell that is not empty, as stripped cells with their number in the file."""
    lines = enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), start=1)
    return [(number, [cell.strip() for cell in line]) for number, line in lines if any(line)]


def _parsed(number: int, cells: Mapping[str, str]) -> Correction | str:
    """Returns what a row says, or what is wrong with it."""
    action, label, part = cells["action"].lower(), cells.get("label", ""), cells.get("part") or "train"
    file, index, content = cells.get("file", ""), cells.get("index", ""), cells.get("content_id", "")
    if action not in ACTIONS:
        return f"the action {cells['action']!r}, which is none of {', '.join(ACTIONS)}"
    if action == "relabel" and not label:
        return "the action relabel, but no label"
    if not file and not content and not (index.isascii() and index.isdigit()):
        return f"neither a file nor an index, but {index!r}"
    if part not in ("train", "val", "test"):
        return f"the part {part!r}, which is none of train, val, test"
    return Correction(
        row=number,
        id=content,
        file=file,
        part="test" if part == "test" else "train",  # validation samples count in the full training set
        index=int(index) if index.isascii() and index.isdigit() and not file else -1,
        action=action,
        label=unicodedata.normalize("NFC", label) if action == "relabel" else "",
        given=unicodedata.normalize("NFC", cells.get("given", "")),
    )


def _without_contradictions(rows: Sequence[Correction]) -> tuple[list[Correction], list[str]]:
    """Returns the rows without repetitions, and a message on each two that name the same sample and differ."""
    first: dict[str, Correction] = {}
    problems = []
    for row in rows:
        # Rows of a table with equal content have the same id; they differ in part or index.
        sample = f"{row.sample} {row.part} {row.index}" if row.id and not row.file else row.sample
        other = first.setdefault(sample, row)
        if (other.action, other.label) != (row.action, row.label):
            said = [f"{each.action} {each.label}".strip() for each in (other, row)]
            problems.append(
                f"it contradicts itself: {row.sample} has {said[0]!r} in row {other.row} and {said[1]!r} in row "
                f"{row.row}; keep one of them"
            )
    return list(first.values()), problems
