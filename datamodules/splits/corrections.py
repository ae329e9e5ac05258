"""Corrections of labels from a file, applied after the splits and the label noise have been drawn."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

Part = Literal["train", "test"]
ACTIONS = ("keep", "relabel", "drop")
_NAMED = 5
"""Rows that an error message names at most."""


@dataclass(frozen=True)
class Correction:
    """One row of the file.

    Attributes:
        row: Its line in the file, for messages.
        file: Name of the sample's file; empty if it is named by its index.
        part: `train` or `test`, for samples named by their index.
        index: Position in the full training set or the test set; -1 if the sample is named by its file.
        action: `keep`, `relabel` or `drop`.
        label: Name of the new class; empty unless it is relabelled.
        given: Name of the label that the row was written for; empty if the file does not say.
    """

    row: int
    file: str
    part: Part
    index: int
    action: str
    label: str
    given: str

    @property
    def sample(self) -> str:
        """What the row names, for messages."""
        return self.file or f"{self.part} {self.index}"


class Corrections:
    """Reads a file of corrections: which samples get another label, and which are dropped.

    A CSV file with a header and the columns `file` (as in `suspects.csv`) or `index`, `action` (`keep`, `relabel` or
    `drop`) and `label` (the new class). With `index`, a column `part` (`train` or `test`) tells which set it counts in;
    `train` by default. A column `given` holds the labels that the corrections were made for, which are compared with
    those of the data. Other columns are ignored.

    Args:
        path: Path of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a file, or rows contradict each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = _without_contradictions(path, _read(path))

    def resolve(
        self,
        part: Part,
        files: Sequence[str],
        labels: Tensor,
        names: Sequence[str],
        elsewhere: Sequence[str] | None = None,
    ) -> tuple[dict[int, int], set[int]]:
        """Finds the samples of a set that the file corrects.

        Args:
            part: Which set it is.
            files: File names of its N samples; empty if samples are not files.
            labels: Their labels, int64 `[N]`; negative ones have no name.
            names: Names in the order of the labels.
            elsewhere: File names that are no mistake, of the other set or left out; `None` if they are not known yet,
                so that they cannot be checked.

        Returns:
            Position -> new label of the samples to relabel, and the positions of those to drop.

        Raises:
            ValueError: If the file names a sample or a class that does not exist, or a label that the sample does not
                have.
        """
        positions = {file: position for position, file in enumerate(files)}
        others = None if elsewhere is None else set(elsewhere)
        relabelled: dict[int, int] = {}
        dropped: set[int] = set()
        absent, unknown, changed = [], [], []
        for each in self.rows:
            if each.file:
                position = positions.get(each.file, -1)
                if position < 0:
                    if not files or (others is not None and each.file not in others):
                        absent.append(f"{each.file} (row {each.row})")
                    continue
            elif each.part != part:
                continue
            elif not 0 <= (position := each.index) < len(labels):
                absent.append(f"{part} index {each.index} of {len(labels)} (row {each.row})")
                continue
            if each.action == "relabel" and each.label not in names:
                unknown.append(f"{each.label!r} (row {each.row})")
                continue
            label = int(labels[position])
            current = names[label] if label >= 0 else "unknown"
            if each.given and each.given != current and each.label != current:
                changed.append(f"{each.sample} is {current!r}, not {each.given!r} (row {each.row})")
            if each.action == "relabel":
                relabelled[position] = names.index(each.label)
            elif each.action == "drop":
                dropped.add(position)
        self._refuse(absent, "names samples that the data do not have", "use the file of this data set")
        self._refuse(unknown, "has labels that are no class", f"the classes are {', '.join(names)}")
        self._refuse(
            changed,
            "was made for other labels",
            "use the file of this data set with the same label noise, or remove these rows if the labels have been "
            "corrected since",
        )
        return relabelled, dropped

    def _refuse(self, found: list[str], problem: str, remedy: str) -> None:
        if found:
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise ValueError(f"data.corrections: {self.path} {problem}: {', '.join(found[:_NAMED])}{more}; {remedy}")


def correct(
    labels: Tensor, relabelled: Mapping[int, int], dropped: set[int], parts: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, dict[str, int]]]:
    """Writes new labels, and removes dropped samples from the parts of a set.

    Args:
        labels: Labels of all samples, int64 `[N]`; changed in place.
        relabelled: Position -> new label.
        dropped: Positions to drop.
        parts: Part -> positions of its samples, int64 `[n]`.

    Returns:
        The parts without the dropped samples, and for `relabelled` and `dropped` part -> number of samples.
    """
    for position, label in relabelled.items():
        labels[position] = label
    new, gone = torch.tensor(sorted(relabelled), dtype=torch.int64), torch.tensor(sorted(dropped), dtype=torch.int64)
    counts = {
        name: {part: int(torch.isin(indices, chosen).sum()) for part, indices in parts.items()}
        for name, chosen in (("relabelled", new), ("dropped", gone))
    }
    return {part: indices[~torch.isin(indices, gone)] for part, indices in parts.items()}, counts


def _read(path: Path) -> list[Correction]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream) if line]
    except OSError as error:
        raise FileNotFoundError(
            f"data.corrections: {path} cannot be read ({error.strerror or error}); give the path of a corrections.csv"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"data.corrections: {path} is not a CSV file ({error})") from error
    header = lines[0] if lines else []
    if "action" not in header or not {"file", "index"} & set(header):
        raise ValueError(
            f"data.corrections: {path} has the columns {', '.join(header) or 'of an empty file'}; it needs file or "
            "index, action (keep, relabel or drop), and label for the new class"
        )
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(header):
            raise ValueError(f"data.corrections: {path}, row {number} has {len(cells)} cells, the header {len(header)}")
        rows.append(_parsed(path, number, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    return rows


def _parsed(path: Path, number: int, cells: Mapping[str, str]) -> Correction:
    action, label, part = cells["action"], cells.get("label", ""), cells.get("part") or "train"
    file, index = cells.get("file", ""), cells.get("index", "")
    problem = None
    if action not in ACTIONS:
        problem = f"the action {action!r}, which is none of {', '.join(ACTIONS)}"
    elif action == "relabel" and not label:
        problem = "the action relabel, but no label"
    elif not file and not (index.isascii() and index.isdigit()):
        problem = f"neither a file nor an index, but {index!r}"
    elif part not in ("train", "val", "test"):
        problem = f"the part {part!r}, which is none of train, val, test"
    if problem:
        raise ValueError(f"data.corrections: {path}, row {number} has {problem}")
    return Correction(
        row=number,
        file=file,
        part="test" if part == "test" else "train",  # validation samples count in the full training set
        index=-1 if file else int(index),
        action=action,
        label=label if action == "relabel" else "",
        given=cells.get("given", ""),
    )


def _without_contradictions(path: Path, rows: Sequence[Correction]) -> list[Correction]:
    """Returns the rows without repetitions; raises if two name the same sample and differ."""
    first: dict[str, Correction] = {}
    for row in rows:
        other = first.setdefault(row.sample, row)
        if (other.action, other.label) != (row.action, row.label):
            said = [f"{each.action} {each.label}".strip() for each in (other, row)]
            raise ValueError(
                f"data.corrections: {path} contradicts itself: {row.sample} has {said[0]!r} in row {other.row} and "
                f"{said[1]!r} in row {row.row}; keep one of them"
            )
    return list(first.values())
