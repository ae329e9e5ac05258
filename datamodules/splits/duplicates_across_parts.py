"""Finds image files in different parts of a data set that show the same."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from litzoo.datamodules.io.file_contents import FileContents
from litzoo.datamodules.splits.near_duplicates import exact_pairs, find_pairs


def pairs_across_parts(
    contents: FileContents,
    paths: list[Path],
    parts: np.ndarray,
    apart: Collection[tuple[int, int]],
    may_leave: np.ndarray,
) -> list[tuple[int, int]]:
    """Returns the pairs of positions of exact duplicates, and of near-duplicates if small images are read.

    Args:
        contents: Reads the files.
        paths: The `N` files.
        parts: Number of the part of each, from 0, int `[N]`.
        apart: Pairs of parts, the smaller number first, that are not compared.
        may_leave: Whether each may be left out for a near-duplicate, bool `[N]`; two that may not are no pair.
    """
    kinds = parts.tolist()
    present = sorted({*kinds})
    compared = {(one, other) for one in present for other in present if one < other} - {*apart}
    pairs = [
        pair
        for pair in exact_pairs(contents.ids(paths), kinds)
        if tuple(sorted((kinds[pair[0]], kinds[pair[1]]))) in compared
    ]
    if contents.thumbnail is None or not compared:
        return pairs
    chosen = np.flatnonzero(np.isin(parts, [part for pair in compared for part in pair]))
    images = contents.small_images([paths[position] for position in chosen])
    groups = {part: torch.from_numpy(np.flatnonzero(parts[chosen] == part)) for part in present}
    for one, other in sorted(compared):
        found = find_pairs(images, groups[one], groups[other])
        near = [(int(chosen[first]), int(chosen[second])) for first, second in found]
        pairs += [pair for pair in near if may_leave[list(pair)].any()]
    return pairs
