"""Corrections applied to the training and test set of data with classes, and how many labels they change."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.splits.core import Split
from litzoo.datamodules.splits.corrections import Corrections, correct


class SampleNames(NamedTuple):
    """How a file can name the `N` samples of a set.

    Attributes:
        files: Their file names; empty if they are no files.
        elsewhere: File names of the other set, and of files that are left out; `None` before they are known.
        ids: Their content ids; empty if they have none.
        all_ids: Content ids of all samples, of the other set too.
        other_names: Names of classes that only samples of the other set can have.
    """

    files: list[str]
    elsewhere: list[str] | None = None
    ids: Sequence[str] = ()
    all_ids: Sequence[str] = ()
    other_names: Sequence[str] = ()


class AppliedCorrections:
    """Applies files of corrections to a training and a test set, each to the labels that the ones before it have left.

    Args:
        files: Paths of the files, in the working folder or in `root`.
        root: Folder of the data.

    Attributes:
        counts: What was done (`relabelled`, `dropped`, ...) -> part -> number of samples.
        dropped: Positions of the dropped samples in the full training set, once they are known.
    """

    def __init__(self, files: Sequence[str], root: Path) -> None:
        self.files, self.root = files, root
        self.counts: dict[str, dict[str, int]] = {}
        self.dropped: list[int] = []

    def training(
        self,
        split: Split,
        targets: Tensor,
        labels: Tensor,
        names: Sequence[str],
        class_names: Sequence[str],
        samples: SampleNames,
        target_of: Callable[[Tensor], Tensor],
    ) -> Split:
        """Corrects the targets of the full training set, `N` samples, in place; returns the split without dropped ones.

        Args:
            split: The split.
            targets: Targets `[N]`, with wrong labels.
            labels: Labels that these targets stand for, as in the files, `[N]`.
            names: Names of all classes in the files, in the order of the labels.
            class_names: Names of the known classes, in the order of the targets.
            samples: How the file can name the samples.
            target_of: Converts labels as in the files to targets.

        Raises:
            ValueError: If the file does not fit the samples, or a class or a part loses all of its samples.
        """
        relabelled, dropped = self._resolve("train", labels, names, samples)
        new = torch.tensor([*relabelled.values()], dtype=torch.int64)
        relabelled = dict(zip(relabelled, target_of(new).tolist(), strict=True))
        parts, counts = correct(targets, relabelled, dropped, split.parts())
        counts |= _without_unknown(parts, relabelled)
        self.dropped = sorted(dropped)
        outside = torch.tensor([*relabelled, *dropped], dtype=torch.int64)
        if idle := int((~torch.isin(outside, torch.cat(list(split)))).sum()):
            counts["without_effect"] = {"train": idle}
        self._add(counts)
        left = torch.bincount(targets[parts["train"]], minlength=len(class_names)).tolist()
        if 0 in left:
            raise ValueError(
                f"data.corrections: {self.file} leaves no training sample with the label "
                f"{class_names[left.index(0)]!r}: correct or drop fewer, or leave the class out of data.known_classes"
            )
        for part in ("val", "unlabeled"):
            if len(getattr(split, part)) and not len(parts[part]):
                self._refuse_empty(part)
        return split._replace(**parts)

    def test(self, labels: Tensor, names: Sequence[str], samples: SampleNames) -> Tensor:
        """Corrects the test labels `[N]` in place; returns the positions that are kept.

        Raises:
            ValueError: If the file does not fit the samples, or drops all of them.
        """
        parts, counts = correct(
            labels, *self._resolve("test", labels, names, samples), {"test": torch.arange(len(labels))}
        )
        if not len(parts["test"]):
            self._refuse_empty("test")
        self._add(counts)
        return parts["test"]

    @property
    def file(self) -> str:
        """The files, for messages."""
        return ", ".join(self.files)

    @property
    def digest(self) -> str:
        """A hash of what the files change, whatever their names; empty if they change nothing."""
        final: dict[tuple[Any, ...], str | None] = {}  # sample -> its new label, or `None` if it is dropped
        for number, each in enumerate(self._corrections):
            equal: Counter[tuple[str, str]] = Counter()
            for row in (row for row in each.rows if row.action != "keep"):
                sample: tuple[Any, ...] = (row.file,) if row.file else (row.part, row.index)
                if row.id and not row.file:  # of rows of a table with equal cells, each row of a file means another one
                    equal[row.id, row.given] += 1
                    sample = (number, row.id, row.given, equal[row.id, row.given])
                if final.get(sample, "") is not None:
                    final[sample] = row.label if row.action == "relabel" else None
        return hashlib.sha256(repr(sorted(final.items(), key=repr)).encode()).hexdigest()[:16] if final else ""

    def by_file(self) -> dict[str, str | None]:
        """Returns what the files say of samples that are files: name -> its new class, or `None` if it is dropped.

        Empty if a row names a sample by its position, which must not depend on what is dropped.
        """
        found: dict[str, str | None] = {}
        for row in (row for each in self._corrections for row in each.rows):
            if not row.file and not row.id:
                return {}
            if row.file and row.action != "keep":
                found[row.file] = row.label if row.action == "relabel" and found.get(row.file, "") is not None else None
        return found

    def dropped_positions(self, part: Literal["train", "test"]) -> set[int]:
        """Returns the positions in a set that the files drop by position."""
        rows = [row for each in self._corrections for row in each.rows]
        return {row.index for row in rows if (row.action, row.part) == ("drop", part) and not row.file and not row.id}

    @cached_property
    def _corrections(self) -> list[Corrections]:
        paths = [Path(file).expanduser() for file in self.files]
        return [
            Corrections(path if path.exists() or not (self.root / path).exists() else self.root / path)
            for path in paths
        ]

    def _resolve(
        self, part: Literal["train", "test"], labels: Tensor, names: Sequence[str], samples: SampleNames
    ) -> tuple[dict[int, int], set[int]]:
        """Returns what all files say of a set: position -> new label, and the positions to drop."""
        delivered, labels = labels, labels.clone()
        relabelled, dropped = dict[int, int](), set[int]()
        for each in self._corrections:  # of equal rows, a later file speaks of those that are left
            ids = ["" if position in dropped else name for position, name in enumerate(samples.ids)]
            new, gone = each.resolve(
                part, samples.files, labels, names, samples.elsewhere, ids, samples.all_ids, samples.other_names
            )
            for position, label in new.items():
                labels[position] = label
            relabelled |= new
            dropped |= gone
        changed = {position: label for position, label in relabelled.items() if label != int(delivered[position])}
        return {position: label for position, label in changed.items() if position not in dropped}, dropped

    def _add(self, counts: dict[str, dict[str, int]]) -> None:
        self.counts |= {name: {**self.counts.get(name, {}), **by_part} for name, by_part in counts.items()}

    def _refuse_empty(self, part: str) -> None:
        raise ValueError(f"data.corrections: {self.file} drops all {part} samples: drop fewer")


def _without_unknown(parts: dict[str, Tensor], relabelled: dict[int, int]) -> dict[str, dict[str, int]]:
    """Removes labeled samples that were corrected to an unknown class; returns how many, if there are any."""
    unknown = torch.tensor([each for each, target in relabelled.items() if target == UNKNOWN], dtype=torch.int64)
    found = {}
    for part in ("train", "val"):
        gone = torch.isin(parts[part], unknown)
        if count := int(gone.sum()):
            parts[part], found[part] = parts[part][~gone], count
    return {"of_unknown_class": found} if found else {}
