"""Which image files are training, validation, test and unlabeled samples."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.images.folders.recorded import among, encoded_anew, new_since, trained_before
from litzoo.datamodules.io.file_contents import FileContents
from litzoo.datamodules.io.image_layouts import ImageLayout
from litzoo.datamodules.splits.duplicates_across_parts import pairs_across_parts
from litzoo.datamodules.splits.file_labels import contradicted, corrected_labels, disputed
from litzoo.datamodules.splits.folds import Fold, require_outside_fold
from litzoo.datamodules.splits.membership import draw_members, draw_numbers
from litzoo.datamodules.splits.near_duplicates import newcomers
from litzoo.datamodules.splits.recorded import RecordedSamples

_TRAIN, _VAL, _TEST, _POOL = range(4)
_RECORDED_BYTES = 2**24
"""Largest size of the small versions in a checkpoint; those of more images are not recorded."""


class Samples(NamedTuple):
    """Image files of the full training set or the test set.

    Attributes:
        paths: Paths of the `N` files; those without a label come last.
        labels: Their labels, int64 `[N]`; `UNKNOWN` for files without a label.
        val: Whether each is a validation sample, bool `[N]`.
        ids: Their content ids, if a part is drawn by content.
    """

    paths: list[Path]
    labels: Tensor
    val: Tensor
    ids: list[str] | None = None


class FolderSamples:
    """Assigns image files to the full training set and the test set.

    Files of a part of their own keep it. What is drawn, validation or test, is drawn by the content of the files. A
    pool of unlabeled files joins the full training set, without those that duplicate a labeled file. Test files of
    their own are all kept, also those that duplicate a training file. Files that corrections drop are assigned too, but
    where parts are drawn no other file is left out on their account.

    Attributes:
        duplicates: File that is left out -> file in another part that it duplicates.
        contradicted: File that is left out -> its class and that of the file that it duplicates, where they differ.
        disputed: Files with the same content and different labels.
        recorded: What a checkpoint has recorded.
        trained_on: Files that would be tested, but have been trained on, or a near-duplicate of them.
        also_trained: Test files of their own with the content of a training file; they are tested all the same.
        waiting: Files that are new since the checkpoint.
        unrecognised: Numbers of recorded training samples that are absent, of all of these, of test samples that are
            new, and of all test samples, if some of the new ones may be absent ones encoded anew; else empty.

    Args:
        layout: The labeled files.
        pool: Files without labels.
        test_size: Size of the test set if it is drawn.
        val_size: Size of the validation set if it is drawn; 0 leaves validation files of their own out.
        seed: Seed of the validation set.
        known: Labels of the known classes; validation samples are drawn from these.
        thumbnail: Reads an image as uint8 `[C, SIDE, SIDE]`; `None` to compare files by their bytes only.
        name: Returns the name of a file as it is recorded.
        corrected: Returns, for names of files, the class that corrections give them, `None` if they are dropped.
    """

    def __init__(
        self,
        layout: ImageLayout,
        pool: Sequence[Path],
        test_size: int | float,
        val_size: int | float | Fold,
        seed: int,
        known: Collection[int],
        thumbnail: Callable[[Path], Tensor] | None,
        name: Callable[[Path], str] = Path.as_posix,
        corrected: Callable[[], Mapping[str, str | None]] = dict,
    ) -> None:
        self.layout, self.pool, self.name, self.corrected = layout, list(pool), name, corrected
        self.test_size, self.val_size, self.seed, self.known = test_size, val_size, seed, known
        self.contents = FileContents(thumbnail, name)
        self.has_val, self.has_test = "val" in layout.parts, "test" in layout.parts
        self.by_content = not (self.has_val and self.has_test)
        self.duplicates: dict[Path, Path] = {}
        self.contradicted: dict[Path, tuple[str, str]] = {}
        self.disputed: list[Path] = []
        self.recorded: RecordedSamples | None = None
        self.trained_on: list[Path] = []
        self.also_trained: list[Path] = []
        self.waiting: list[Path] = []
        self.unrecognised: tuple[int, ...] = ()

    def assign(self, resumed: bool) -> tuple[Samples, Samples]:
        """Returns the full training set and the test set.

        Args:
            resumed: Whether the recorded samples are used, and no others. Otherwise recorded training samples only do
                not become test samples.

        Raises:
            FileNotFoundError: If recorded training samples are absent.
            ValueError: If a part comes out empty, or a class has no training sample.
        """
        paths, labels, parts = self._listed()
        record, order = self.recorded, list(range(len(paths)))
        ids = self.contents.ids(paths) if self.by_content else []
        waits, is_new = np.zeros(len(paths), dtype=bool), np.ones(len(paths), dtype=bool)
        final, dropped = corrected_labels(
            self.corrected(), [self.name(path) for path in paths], labels, parts == _POOL, self.layout.class_names
        )
        if self.by_content:
            if record is not None and resumed:
                waits = new_since(record, ids, [self.name(path) for path in paths], parts == _TEST)
                self.waiting = [paths[position] for position in np.flatnonzero(waits)]
                if not self.has_test:
                    parts[(parts == _TRAIN) & among(ids, record.test_ids)] = _TEST
            elif not self.has_test:
                self._draw(parts, parts == _TRAIN, ids, "data.test_size", self.test_size, "test", _TEST)
            if not self.has_val:
                chosen = (parts == _TRAIN) & np.isin(labels.numpy(), [*self.known]) & ~waits
                self._draw(parts, chosen, ids, "data.val_size", self.val_size, f"val {self.seed}", _VAL)
            self.disputed = disputed(paths, ids, final, dropped)
            # Recorded samples come first, unlabeled ones last; otherwise the hash decides which of two copies stays.
            is_new = ~among(ids, [] if record is None else [*record.ids, *record.test_ids])
            order = np.lexsort((draw_numbers(ids, "order"), parts == _POOL, is_new)).tolist()
        pairs = self._pairs(paths, parts, is_new | (not resumed))
        left_out = newcomers(pairs, order, np.flatnonzero(dropped & self.by_content).tolist())
        if self.has_test:  # a recorded unlabeled file goes before a new test file, which stays all the same
            left_out = {each: original for each, original in left_out.items() if parts[each] != _TEST}
        self.duplicates = {paths[each]: paths[original] for each, original in left_out.items()}
        self.contradicted = contradicted(paths, final, left_out, self.layout.class_names)
        keep = ~waits & ~np.isin(np.arange(len(paths)), [*left_out])
        in_test = keep & (parts == _TEST)
        if record is not None and not resumed and not self.has_test:
            anew, self.unrecognised = encoded_anew(record, self.contents, paths, ids, in_test)
            trained = trained_before(record, ids, pairs, anew) & ~dropped  # dropped ones are not tested anyway
            self.trained_on = [paths[position] for position in np.flatnonzero(in_test & trained)]
            in_test &= ~trained
        training, tested = np.flatnonzero(keep & (parts != _TEST)).tolist(), np.flatnonzero(in_test).tolist()
        if self.by_content:  # an order that names and labels do not change; test files of their own keep theirs

            def content(position: int) -> tuple[bool, str, str]:
                return bool(parts[position] == _POOL), ids[position], paths[position].as_posix()

            training, tested = sorted(training, key=content), tested if self.has_test else sorted(tested, key=content)
            if self.has_test:
                used = [each for each in training if not dropped[each]]
                self.find_copies([paths[each] for each in tested if not dropped[each]], {ids[each] for each in used})
        _require_pool([paths[position] for position in training if parts[position] == _POOL], self.pool)
        if self.by_content:
            self._require_classes(labels[training], torch.from_numpy(parts[training]), len(tested))

        def samples(positions: list[int]) -> Samples:
            is_val = torch.from_numpy(parts[positions] == _VAL)
            own_ids = [ids[each] for each in positions] if self.by_content else None
            return Samples([paths[each] for each in positions], labels[positions], is_val, own_ids)

        return samples(training), samples(tested)

    def test_files(self) -> list[Path]:
        """Returns the test files of their own that corrections do not drop."""
        corrected, paths = self.corrected(), self.layout.files("test")[0]
        return [path for path in paths if corrected.get(self.name(path), "") is not None]

    def listed_training(self) -> list[Path]:
        """Returns the files of the full training set before any are left out."""
        paths, _, parts = self._listed()
        return [path for path, part in zip(paths, parts.tolist(), strict=True) if part != _TEST]

    def find_copies(self, tested: Sequence[Path], trained: Collection[str]) -> None:
        """Lists in `also_trained` the test files whose content ids are among those of training files."""
        self.also_trained = [
            path for path, each in zip(tested, self.contents.ids(tested), strict=True) if each in trained
        ]

    def recorded_thumbnails(self, paths: list[Path]) -> Tensor | None:
        """Returns the small versions of files for a record, unless they are too many or not compared."""
        return self.contents.known_small_images(paths, _RECORDED_BYTES)

    def _listed(self) -> tuple[list[Path], Tensor, np.ndarray]:
        """Returns all files, their labels and the parts they have without any draw."""
        listed = [(_TRAIN, *self.layout.files("train"))]
        if self.has_val and self.val_size:
            listed.append((_VAL, *self.layout.files("val")))
        if self.has_test:
            listed.append((_TEST, *self.layout.files("test")))
        listed.append((_POOL, self.pool, torch.full((len(self.pool),), UNKNOWN)))
        parts = np.concatenate([np.full(len(paths), part) for part, paths, _ in listed])
        return [path for _, paths, _ in listed for path in paths], torch.cat([each for *_, each in listed]), parts

    def _draw(
        self,
        parts: np.ndarray,
        chosen: np.ndarray,
        ids: Sequence[str],
        option: str,
        size: int | float | Fold,
        draw: str,
        part: int,
    ) -> None:
        """Moves samples, drawn by their content among the chosen ones, bool `[N]`, to a part."""
        positions = np.flatnonzero(chosen)
        drawn = draw_members(option, size, [ids[each] for each in positions.tolist()], draw)
        parts[positions[drawn]] = part

    def _pairs(self, paths: list[Path], parts: np.ndarray, may_leave: np.ndarray) -> list[tuple[int, int]]:
        """Returns the pairs of files in different parts of which one has to be left out."""
        # Training files are not compared with test files of their own: both are as they were given.
        apart = {(_TRAIN, _TEST), (_VAL, _TEST)} if self.has_test else set()
        apart |= set() if self.by_content else {(_TRAIN, _VAL)}
        if not self.by_content and not self.pool:
            return []
        return pairs_across_parts(self.contents, paths, parts, apart, may_leave)

    def _require_classes(self, labels: Tensor, parts: Tensor, tested: int) -> None:
        if not tested:
            raise ValueError(
                "no test image is left without those that the checkpoint was trained on and near-duplicates; add "
                "images, raise data.test_size, or set data.near_duplicates to keep"
            )
        for label in self.known:
            train, held = (int(((labels == label) & (parts == part)).sum()) for part in (_TRAIN, _VAL))
            if held and isinstance(self.val_size, Fold):
                require_outside_fold(self.val_size, [held + train], [train], [self.layout.class_names[label]])
            if not train:
                raise ValueError(
                    f"class {self.layout.class_names[label]!r} has no training image: all of its images came into "
                    "validation or test, which are drawn by a hash of their content, or duplicate one there; add "
                    "images, lower data.val_size or data.test_size, or leave it out of data.known_classes"
                )


def _require_pool(kept: Sequence[Path], pool: Sequence[Path]) -> None:
    if pool and not kept:
        raise ValueError(
            f"data.unlabeled_folder: each of its {len(pool)} images duplicates a labeled one, or is new since the "
            "checkpoint; add images"
        )
