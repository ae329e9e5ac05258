"""Corrections of labels from a file, applied after the splits and the label noise have been drawn."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from litzoo.datamodules.nearest import nearest
from litzoo.datamodules.splits.corrections_file import Correction, Part, read_corrections, rows_text

_NAMED = 5
"""Samples or labels that a line of an error message names at most."""


class Corrections:
    """A file of corrections: which samples get another label, and which are dropped.

    A CSV file with a header and the columns `file` (as in `suspects.csv`) or `index`, `action` (`keep`, `relabel` or
    `drop`) and `label` (the new class). With `index`, a column `part` (`train` or `test`) tells which set it counts in;
    `train` by default. A column `content_id` names rows of a table by their content, wherever they are now. A column
    `given` holds the labels that the corrections were made for, which are compared with those of the data. Other
    columns are ignored. All that is wrong in the file is told at once, by `resolve`.

    Args:
        path: Path of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows, self._problems = read_corrections(path)

    def resolve(
        self,
        part: Part,
        files: Sequence[str],
        labels: Tensor,
        names: Sequence[str],
        elsewhere: Sequence[str] | None = None,
        ids: Sequence[str] = (),
        other_ids: Sequence[str] = (),
        other_names: Sequence[str] = (),
    ) -> tuple[dict[int, int], set[int]]:
        """Finds the samples of a set that the file corrects.

        Args:
            part: Which set it is.
            files: File names of its N samples; empty if samples are not files. Of equal names the first one counts:
                those of unlabeled samples come last.
            labels: Their labels, int64 `[N]`; negative ones have no name.
            names: Names in the order of the labels.
            elsewhere: File names that are no mistake, of the other set or left out; `None` if they are not known yet,
                so that they cannot be checked.
            ids: Content ids of its N samples; empty if they have none.
            other_ids: Those of all samples that are not in this set.
            other_names: Names of classes that only samples of the other set can have.

        Returns:
            Position -> new label of the samples to relabel, and the positions of those to drop.

        Raises:
            ValueError: If a row is not valid, contradicts another one, or names a sample or a class that does not
                exist, or a label that the sample does not have. The message has all of these.
        """
        positions: dict[str, int] = {}
        for position, file in enumerate(files):
            positions.setdefault(file, position)
        for position, file in enumerate(files):  # a Mac writes names in another form than other systems
            positions.setdefault(_composed(file), position)
        names, other_names = list(map(_composed, names)), list(map(_composed, other_names))
        by_id = _Contents(ids, [names[label] if label >= 0 else "unknown" for label in labels.tolist()])
        outside = set(other_ids)
        if not files and ids and any(not each.id and not each.file for each in self.rows):
            rank_zero_warn(
                f"{self.path} names rows of a table by their index, which is another row as soon as rows are added, "
                "removed or sorted: keep the column content_id of suspects.csv"
            )
        others = None if elsewhere is None else set(map(_composed, elsewhere))
        relabelled: dict[int, int] = {}
        dropped: set[int] = set()
        absent, gone, changed = [], [], []
        for each in self.rows:
            if each.file:
                position = positions.get(each.file, positions.get(_composed(each.file), -1))
                if position < 0:
                    if not files or (others is not None and _composed(each.file) not in others):
                        absent.append(f"{each.file} (row {each.row})")
                    continue
            elif each.id and ids:
                position = by_id.take(each)
                if position < 0:
                    if each.id not in outside:
                        gone.append(f"{each.id} (row {each.row})")
                    continue
            elif each.part != part:
                continue
            elif not 0 <= (position := each.index) < len(labels):
                absent.append(f"{part} index {each.index} of {len(labels)} (row {each.row})")
                continue
            if each.action == "relabel" and each.label not in names:
                continue  # told below
            label = int(labels[position])
            current = names[label] if label >= 0 else "unknown"
            if each.given and each.given != current and each.label != current:
                changed.append(f"{each.sample} is {current!r}, not {each.given!r} (row {each.row})")
            if each.action == "relabel":
                relabelled[position] = names.index(each.label)
            elif each.action == "drop":
                dropped.add(position)
        problems = {
            "names samples that the data do not have: {}; use the file of this data set": absent,
            f"names {len(gone)} rows by a content_id that the table does not have: {{}}; they have been removed or "
            "their cells have changed since: remove them from the file of corrections": gone,
            f"has labels that are no class: {{}}; the classes are {', '.join(names)}": self._no_classes(
                {*names, *other_names}
            ),
            "was made for other labels: {}; use the file of this data set with the same label noise, or remove these "
            "rows if the labels have been corrected since": changed,
        }
        self._refuse([f"it {text.format(_shown(found))}" for text, found in problems.items() if found])
        return relabelled, dropped

    def _no_classes(self, names: Collection[str]) -> list[str]:
        """Returns the labels of all rows, also of those of the other set, that are no class, with the nearest class."""
        wrong: dict[str, list[int]] = {}
        for each in self.rows:
            if each.action == "relabel" and each.label not in names:
                wrong.setdefault(each.label, []).append(each.row)
        closest = {label: "".join(f"; nearest: {name!r}" for name in nearest(label, names, 1)) for label in wrong}
        return [f"{label!r} ({rows_text(rows)}{closest[label]})" for label, rows in wrong.items()]

    def _refuse(self, found: Sequence[str]) -> None:
        problems = [*self._problems, *found]
        if len(problems) == 1:
            raise ValueError(f"data.corrections: {self.path}: {problems[0]}")
        if problems:
            raise ValueError("\n- ".join([f"data.corrections: {self.path} has {len(problems)} faults:", *problems]))


def _composed(name: str) -> str:
    """Returns a name in Unicode's composed form (NFC), in which names are compared."""
    return unicodedata.normalize("NFC", name)


def _shown(found: Sequence[str]) -> str:
    return f"{', '.join(found[:_NAMED])}{f' and {len(found) - _NAMED} more' if len(found) > _NAMED else ''}"


class _Contents:
    """Finds samples by their content id; several may have the same content.

    Args:
        ids: Content ids of all samples.
        names: Names of their labels.
    """

    def __init__(self, ids: Sequence[str], names: Sequence[str]) -> None:
        self.names = names
        self.left: dict[str, list[int]] = {}
        for position, each in enumerate(ids):
            self.left.setdefault(each, []).append(position)

    def take(self, row: Correction) -> int:
        """Returns the position of a row's sample, of equal ones one with the given label; -1 if there is none.

        Each position is returned once, the last one again.
        """
        left = self.left.get(row.id, [])
        if not left:
            return -1
        wanted = [row.given or None, row.label or None]
        fits = [position for name in wanted for position in left if self.names[position] == name]
        position = fits[0] if fits else left[0]
        if len(left) > 1:
            left.remove(position)
        return position


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
