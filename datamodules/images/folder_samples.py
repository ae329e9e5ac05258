"""Which image files are training, validation, test and unlabeled samples."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.io.image_layouts import ImageLayout
from litzoo.datamodules.io.paths import require_file
from litzoo.datamodules.io.threads import in_threads
from litzoo.datamodules.splits.folds import Fold
from litzoo.datamodules.splits.membership import content_id, draw_members, draw_numbers
from litzoo.datamodules.splits.near_duplicates import exact_pairs, find_pairs, newcomers
from litzoo.datamodules.splits.recorded import RecordedSamples

_CHUNK = 1000
_TRAIN, _VAL, _TEST, _POOL = range(4)
_RECORDED_BYTES = 2**24
"""Largest size of the small versions in a checkpoint; those of more images are not recorded."""


class Samples(NamedTuple):
    """Image files of the full training set or the test set.

    Attributes:
        paths: Paths of the `N` files; those without a label come last.
        labels: Their labels, int64 `[N]`; `UNKNOWN` for files without a label.
        ids: Their content ids, if the parts are drawn by content.
        val: Whether each is a validation sample, bool `[N]`; `None` if validation is yet to be drawn.
    """

    paths: list[Path]
    labels: Tensor
    ids: list[str] | None = None
    val: Tensor | None = None


class FolderSamples:
    """Assigns image files to the full training set and the test set.

    With official test files, the files' own parts are used. Without them each file is assigned by its content. A pool
    of unlabeled files joins the full training set, without those that duplicate a labeled file.

    Attributes:
        duplicates: File that is left out -> file in another part that it duplicates.
        disputed: Files with the same content and different labels.
        recorded: What a checkpoint has recorded.
        trained_on: Files that would be tested, but have been trained on.
        waiting: Files that are new since the checkpoint.
        unrecognised: Numbers of recorded training samples that are absent, of all of these, of test samples that are
            new, and of all test samples, if some of the new ones may be absent ones encoded anew; else empty.

    Args:
        layout: The labeled files.
        pool: Files without labels.
        test_size: Size of the test set if it is drawn.
        val_size: Size of the validation set if it is drawn with it; 0 leaves official validation files out.
        seed: Seed of the validation set.
        known: Labels of the known classes; validation samples are drawn from these.
        thumbnail: Reads an image as uint8 `[C, SIDE, SIDE]`; `None` to compare files by their bytes only.
        name: Returns the name of a file as it is recorded.
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
    ) -> None:
        self.layout, self.pool, self.thumbnail, self.name = layout, list(pool), thumbnail, name
        self.test_size, self.val_size, self.seed, self.known = test_size, val_size, seed, known
        self.by_content = "test" not in layout.parts
        self.duplicates: dict[Path, Path] = {}
        self.disputed: list[Path] = []
        self.recorded: RecordedSamples | None = None
        self.trained_on: list[Path] = []
        self.waiting: list[Path] = []
        self.unrecognised: tuple[int, ...] = ()
        self._ids: dict[Path, str] = {}
        self._thumbnails: dict[Path, Tensor] = {}

    def assign(self, resumed: bool) -> tuple[Samples, Samples | None]:
        """Returns the full training set, and the test set if it is drawn by content.

        Args:
            resumed: Whether the recorded samples are used, and no others. Otherwise recorded training samples only do
                not become test samples.

        Raises:
            FileNotFoundError: If recorded training samples are absent.
            ValueError: If a part comes out empty, or a class has no training sample.
        """
        paths, labels = self.layout.files("train")
        official = np.zeros(len(paths), dtype=bool)
        if "val" in self.layout.parts and self.val_size:
            more, their = self.layout.files("val")
            paths, labels = paths + more, torch.cat([labels, their])
            official = np.arange(len(paths)) >= len(official)
        has_val = "val" in self.layout.parts
        if not self.by_content:
            return self._with_pool(paths, labels, torch.from_numpy(official) if has_val else None), None
        return self._by_content(paths, labels, official, has_val, resumed)

    def _with_pool(self, paths: list[Path], labels: Tensor, val: Tensor | None) -> Samples:
        """Appends the pool to official training files."""
        if not self.pool:
            return Samples(paths, labels, None, val)
        tested, _ = self.layout.files("test")
        everything = [*paths, *tested, *self.pool]
        parts = [_TRAIN] * (len(paths) + len(tested)) + [_POOL] * len(self.pool)
        left_out = self._left_out(everything, parts, range(len(everything)))
        pool = [
            path for position, path in enumerate(everything) if parts[position] == _POOL and position not in left_out
        ]
        _require_pool(pool, self.pool)
        labels = torch.cat([labels, torch.full((len(pool),), UNKNOWN)])
        padded = None if val is None else torch.cat([val, torch.zeros(len(pool), dtype=torch.bool)])
        return Samples([*paths, *pool], labels, None, padded)

    def _by_content(
        self, paths: list[Path], labels: Tensor, official: np.ndarray, has_val: bool, resumed: bool
    ) -> tuple[Samples, Samples]:
        paths = [*paths, *self.pool]
        pool = len(self.pool)
        labels = torch.cat([labels, torch.full((pool,), UNKNOWN)])
        official = np.concatenate([official, np.zeros(pool, dtype=bool)])
        ids = self._content_ids(paths)
        record = self.recorded
        trained, tested = (set(), set()) if record is None else (set(record.ids), set(record.test_ids))
        if record is not None and resumed and (absent := record.absent(set(ids))):
            named = ", ".join(absent[:3]) + (", …" if absent[3:] else "")
            raise FileNotFoundError(
                f"{len(absent)} of the {len(record.ids)} images that the checkpoint was trained on are absent or have "
                f"changed: {named}; restore them, or start a new run"
            )
        parts = np.array([_TRAIN] * (len(paths) - pool) + [_POOL] * pool)
        parts[official] = _VAL
        open_ = parts == _TRAIN  # drawn by content
        if record is not None and resumed:
            waits = np.array(record.new(ids, [self.name(path) for path in paths]))
            self.waiting = [paths[position] for position in np.flatnonzero(waits)]
            parts[open_ & np.array([each in tested for each in ids])] = _TEST
        else:
            waits = np.zeros(len(paths), dtype=bool)
            chosen = np.flatnonzero(open_)
            test = draw_members("data.test_size", self.test_size, [ids[each] for each in chosen], "test")
            parts[chosen[test]] = _TEST
        if not has_val and self.val_size:
            is_known = np.isin(labels.numpy(), [*self.known])
            chosen = np.flatnonzero((parts == _TRAIN) & is_known & ~waits)
            val = draw_members("data.val_size", self.val_size, [ids[each] for each in chosen], f"val {self.seed}")
            parts[chosen[val]] = _VAL
        self.disputed = _disputed(paths, ids, labels)
        # Recorded samples come first, unlabeled ones last; otherwise the hash decides which of two duplicates stays.
        numbers = draw_numbers(ids, "order")
        seen = np.array([each not in trained | tested for each in ids])
        order = np.lexsort((numbers, parts == _POOL, seen))
        left_out = self._left_out(paths, parts.tolist(), order.tolist())
        keep = ~waits & ~np.isin(np.arange(len(paths)), [*left_out])
        in_test = keep & (parts == _TEST)
        if record is not None and not resumed:
            known_before = np.array([each in trained for each in ids])
            known_before |= self._encoded_anew(record, paths, ids, in_test)
            self.trained_on = [paths[position] for position in np.flatnonzero(in_test & known_before)]
            in_test &= ~known_before
        training = self._ordered(keep & (parts != _TEST), paths, ids, parts)
        test_order = self._ordered(in_test, paths, ids, parts)
        _require_pool([paths[position] for position in training if parts[position] == _POOL], self.pool)
        self._require_classes(labels[training], torch.from_numpy(parts[training]), len(test_order))

        def samples(positions: list[int]) -> Samples:
            val = torch.from_numpy(parts[positions] == _VAL)
            return Samples(
                [paths[each] for each in positions], labels[positions], [ids[each] for each in positions], val
            )

        return samples(training), samples(test_order)

    def _encoded_anew(
        self, record: RecordedSamples, paths: list[Path], ids: list[str], tested: np.ndarray
    ) -> np.ndarray:
        """Returns which new test files look like a training image that is recorded and absent, bool `[N]`."""
        alike = np.zeros(len(paths), dtype=bool)
        known = {*record.ids, *record.test_ids}
        new = np.array([position for position in np.flatnonzero(tested) if ids[position] not in known])
        absent = torch.tensor(record.absent_positions(set(ids)))
        if not len(absent) or not len(new):
            return alike
        if record.thumbnails is None or self.thumbnail is None:
            self.unrecognised = len(absent), len(record.ids), len(new), int(tested.sum())
            return alike
        small = self._small_images([paths[position] for position in new])
        if small.shape[1:] == record.thumbnails.shape[1:]:
            images = torch.cat([record.thumbnails[absent], small])
            numbers = torch.arange(len(images))
            pairs = find_pairs(images, numbers[: len(absent)], numbers[len(absent) :])
            alike[new[[other - len(absent) for _, other in pairs]]] = True
        return alike

    def recorded_thumbnails(self, paths: list[Path]) -> Tensor | None:
        """Returns the small versions of files for a record, unless they are too many or not compared."""
        if self.thumbnail is None or not paths or any(path not in self._thumbnails for path in paths):
            return None
        size = len(paths) * self._thumbnails[paths[0]].numel()
        return self._small_images(paths) if size <= _RECORDED_BYTES else None

    def _ordered(self, chosen: np.ndarray, paths: list[Path], ids: list[str], parts: np.ndarray) -> list[int]:
        """Returns positions in an order that names and labels do not change; unlabeled files last."""
        return sorted(
            np.flatnonzero(chosen).tolist(), key=lambda each: (parts[each] == _POOL, ids[each], paths[each].as_posix())
        )

    def _require_classes(self, labels: Tensor, parts: Tensor, tested: int) -> None:
        if not tested:
            raise ValueError(
                "no test image is left without those that the checkpoint was trained on and near-duplicates; add "
                "images, raise data.test_size, or set data.near_duplicates to keep"
            )
        for label in self.known:
            if not ((labels == label) & (parts == _TRAIN)).any():
                raise ValueError(
                    f"class {self.layout.class_names[label]!r} has no training image: all of its images came into "
                    "validation or test, which are drawn by a hash of their content, or duplicate one there; add "
                    "images, lower data.val_size or data.test_size, or leave it out of data.known_classes"
                )

    def _left_out(self, paths: list[Path], parts: list[int], order: Sequence[int]) -> dict[int, int]:
        """Returns the duplicates across parts that are left out, and lists them in `duplicates`."""
        pairs = exact_pairs(self._content_ids(paths), parts)
        if self.thumbnail is not None:
            images = self._small_images(paths)
            groups = [torch.tensor([i for i, part in enumerate(parts) if part == each]) for each in range(4)]
            for number, group in enumerate(groups):
                for other in groups[number + 1 :]:
                    if len(group) and len(other):
                        pairs += find_pairs(images, group, other)
        left_out = newcomers(pairs, order)
        self.duplicates = {paths[each]: paths[original] for each, original in left_out.items()}
        return left_out

    def _content_ids(self, paths: list[Path]) -> list[str]:
        new = [path for path in paths if path not in self._ids]
        self._ids |= zip(new, in_threads(_id_of_file, new), strict=True)
        return [self._ids[path] for path in paths]

    def _small_images(self, paths: list[Path]) -> Tensor:
        assert self.thumbnail is not None
        new = [path for path in paths if path not in self._thumbnails]
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            self._thumbnails |= zip(chunk, in_threads(self.thumbnail, chunk), strict=True)
        return torch.stack([self._thumbnails[path] for path in paths])


def _disputed(paths: list[Path], ids: list[str], labels: Tensor) -> list[Path]:
    """Returns labeled files with the same content and different labels."""
    labels_of: dict[str, set[int]] = {}
    for each, label in zip(ids, labels.tolist(), strict=True):
        labels_of.setdefault(each, set()).add(label)
    return [path for path, each in zip(paths, ids, strict=True) if len(labels_of[each] - {UNKNOWN}) > 1]


def _id_of_file(path: Path) -> str:
    try:
        require_file(path)
        return content_id(path.read_bytes())
    except OSError:  # whoever reads it reports the damage
        return content_id(b"unreadable " + path.name.encode(errors="surrogateescape"))


def _require_pool(kept: Sequence[Path], pool: Sequence[Path]) -> None:
    if pool and not kept:
        raise ValueError(
            f"data.unlabeled_folder: each of its {len(pool)} images duplicates a labeled one, or is new since the "
            "checkpoint; add images"
        )
