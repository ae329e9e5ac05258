"""Compares the image files of a folder with those that a checkpoint has recorded."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch

from litzoo.datamodules.io.file_contents import FileContents
from litzoo.datamodules.splits.near_duplicates import find_pairs
from litzoo.datamodules.splits.recorded import RecordedSamples


def among(ids: Sequence[str], known: Collection[str]) -> np.ndarray:
    """Returns which ids are known, bool `[N]`."""
    table = set(known)
    return np.array([each in table for each in ids], dtype=bool)


def new_since(record: RecordedSamples, ids: Sequence[str], names: Sequence[str], own_test: np.ndarray) -> np.ndarray:
    """Returns which files are not recorded, bool `[N]`; test files of their own, bool `[N]`, are never new.

    Raises:
        FileNotFoundError: If recorded training samples are absent.
    """
    present = {each for each, is_test in zip(ids, own_test, strict=True) if not is_test}
    if absent := record.absent(present):
        named = ", ".join(absent[:3]) + (", …" if absent[3:] else "")
        raise FileNotFoundError(
            f"{len(absent)} of the {len(record.ids)} images that the checkpoint was trained on are absent or have "
            f"changed: {named}; restore them, or start a new run"
        )
    known = record._replace(test_ids=[]) if own_test.any() else record
    return np.array(known.new(ids, names)) & ~own_test


def trained_before(
    record: RecordedSamples, ids: Sequence[str], pairs: Sequence[tuple[int, int]], anew: np.ndarray
) -> np.ndarray:
    """Returns which files have been trained on, or look like one that has been, bool `[N]`.

    Args:
        record: What the checkpoint has recorded.
        ids: Content ids of the `N` files.
        pairs: Positions of files that look alike.
        anew: Which files are recorded ones encoded anew, bool `[N]`.
    """
    # What corrections drop now has been trained on by a checkpoint without them: so has what is like it.
    seen = among(ids, record.trained_on())
    trained = among(ids, record.ids) | anew
    trained[[each for pair in pairs for each, other in (pair, pair[::-1]) if seen[other]]] = True
    return trained


def encoded_anew(
    record: RecordedSamples, contents: FileContents, paths: Sequence[Path], ids: Sequence[str], tested: np.ndarray
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Finds new test files that look like a training image that is recorded and absent.

    Args:
        record: What the checkpoint has recorded.
        contents: Reads small versions of files.
        paths: The `N` files.
        ids: Their content ids.
        tested: Which of them would be tested, bool `[N]`.

    Returns:
        Which they are, bool `[N]`; and where small versions are missing, so that none can be recognised, the numbers of
        recorded training samples that are absent, of all of these, of test samples that are new, and of all test
        samples; else nothing.
    """
    alike = np.zeros(len(paths), dtype=bool)
    known = {*record.ids, *record.test_ids}
    new = np.array([position for position in np.flatnonzero(tested).tolist() if ids[position] not in known])
    absent = torch.tensor(record.absent_positions(set(ids)))
    if not len(absent) or not len(new):
        return alike, ()
    if record.thumbnails is None or contents.thumbnail is None:
        return alike, (len(absent), len(record.ids), len(new), int(tested.sum()))
    small = contents.small_images([paths[position] for position in new])
    if small.shape[1:] == record.thumbnails.shape[1:]:
        images = torch.cat([record.thumbnails[absent], small])
        numbers = torch.arange(len(images))
        pairs = find_pairs(images, numbers[: len(absent)], numbers[len(absent) :])
        alike[new[[other - len(absent) for _, other in pairs]]] = True
    return alike, ()
