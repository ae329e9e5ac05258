"""Copies of an image on both sides of a split: which of them are left out.

Images are compared by small colour versions of themselves rather than by a perceptual hash of 64 bits: such a hash
keeps only which of two neighbouring grey values is larger, so that many handwritten digits, or shapes on a plain
background, have the same one. Here brightness and colour count too, and a difference is measured against the contrast.
"""

from collections.abc import Collection, Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 16
"""Height and width of the small versions."""
TOLERANCE = 0.1
"""Largest difference (root mean square) of two near-duplicates, as a fraction of their contrast."""
LEAST_CONTRAST = 4.0
"""Standard deviation, of 255 levels, below which an image is too plain to be compared."""
_CHUNK = 2048
_SQUARE = 4


def find_pairs(images: Tensor, first: Tensor, second: Tensor) -> list[tuple[int, int]]:
    """Finds near-duplicates: the same picture encoded anew, resized, or changed a little.

    Args:
        images: Small versions of all images, uint8 `[N, C, SIDE, SIDE]`.
        first: Indices of some of them, int64 `[n]`.
        second: Indices of others, int64 `[m]`.

    Returns:
        Pairs of an index of `first` and an index of `second`.
    """
    # Differences around grey, since float32 loses digits of the squares of large numbers.
    flat = images.flatten(1).float() - 127.5
    spread = flat.var(1, correction=0)
    allowed = flat.shape[1] * TOLERANCE**2 * spread.where(spread > LEAST_CONTRAST**2, -1)
    # Means of squares of pixels differ by no more than the pixels do, which rules out nearly all pairs at little cost.
    coarse = F.avg_pool2d(images.float() - 127.5, _SQUARE).flatten(1) * _SQUARE
    lengths = coarse.square().sum(1)
    found: list[tuple[int, int]] = []
    for one in first[spread[first] > LEAST_CONTRAST**2].split(_CHUNK):
        for other in second[spread[second] > LEAST_CONTRAST**2].split(_CHUNK):
            products = coarse[one] @ (2 * coarse[other]).T
            # One level more than allowed, for rounding.
            candidates = products.sub_(lengths[other]) >= (lengths[one] - allowed[one] - 1)[:, None]
            a, b = (part[positions] for part, positions in zip((one, other), candidates.nonzero().T, strict=True))
            alike = (flat[a] - flat[b]).square().sum(1) <= torch.minimum(allowed[a], allowed[b])
            found += zip(a[alike].tolist(), b[alike].tolist(), strict=True)
    return found


def exact_pairs(ids: Sequence[str], parts: Sequence[int]) -> list[tuple[int, int]]:
    """Returns pairs of samples with the same id in different parts; ids and part numbers are `[N]` each."""
    first: dict[tuple[str, int], int] = {}
    for position, key in enumerate(zip(ids, parts, strict=True)):
        first.setdefault(key, position)
    groups: dict[str, list[int]] = {}
    for (name, _), position in first.items():
        groups.setdefault(name, []).append(position)
    members: dict[str, list[int]] = {name: [] for name, group in groups.items() if len(group) > 1}
    for position, name in enumerate(ids):
        if name in members:
            members[name].append(position)
    return [(a, b) for group in members.values() for a, b in combinations(group, 2) if parts[a] != parts[b]]


def newcomers(pairs: Sequence[tuple[int, int]], order: Sequence[int], dropped: Collection[int] = ()) -> dict[int, int]:
    """Chooses the samples to leave out, so that of no pair both are kept.

    Args:
        pairs: Samples that are duplicates of each other, in different parts.
        order: All samples; the earlier one of a pair stays.
        dropped: Samples that are not used for another reason. One that duplicates only these is kept; of all others
            the same are left out as without them.

    Returns:
        Sample to leave out -> the sample that it duplicates.
    """
    rank = {position: place for place, position in enumerate(order)}
    partners: dict[int, list[int]] = {}
    for one, other in pairs:
        earlier, later = sorted((one, other), key=rank.__getitem__)
        partners.setdefault(later, []).append(earlier)
    left_out: dict[int, int] = {}
    for later in sorted(partners, key=rank.__getitem__):
        if (kept := next((each for each in partners[later] if each not in left_out), None)) is not None:
            left_out[later] = kept
    if not dropped:
        return left_out
    around: dict[int, list[int]] = {}
    for one, other in pairs:
        around.setdefault(one, []).append(other)
        around.setdefault(other, []).append(one)
    gone = set(dropped)
    for later in sorted(left_out, key=rank.__getitem__):
        kept = next((each for each in around[later] if each not in left_out and each not in gone), None)
        if kept is None:
            del left_out[later]
        elif left_out[later] in gone:
            left_out[later] = kept
    return left_out
