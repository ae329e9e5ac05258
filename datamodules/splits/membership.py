"""Train, validation or test: decided for each sample by its own content, for data without an official test set.

A sample's part is a function of a hash of its content and the seed. Adding, removing, renaming, reordering or
relabelling samples moves no other sample, so that no test sample of an earlier run becomes a training sample of a
later one. Sizes come out by chance, and no class is stratified.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from litzoo.datamodules.splits.core import count_of, whole
from litzoo.datamodules.splits.folds import Fold

DIGEST_BYTES = 16


def content_id(data: bytes) -> str:
    """Returns a hash of a sample's content, 32 hexadecimal digits; equal content has equal ids.

    Args:
        data: The bytes of a file, or the values of a table's row in a canonical form.
    """
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def draw_numbers(ids: Sequence[str], draw: str) -> np.ndarray:
    """Returns a number in [0, 1) for each id, uint64 over 2^64 as float64 `[n]`: uniform, and fixed by id and draw.

    Args:
        ids: Ids of the samples, as `content_id` makes them.
        draw: Name of the draw; draws with different names are independent.
    """
    prefix = f"{draw}\n".encode()
    digests = b"".join(hashlib.blake2b(prefix + each.encode(), digest_size=8).digest() for each in ids)
    # The upper 53 bits: a float64 holds them exactly, so that no number is rounded up to 1.
    return (np.frombuffer(digests, ">u8") >> np.uint64(11)) / 2.0**53


def parts_of(
    ids: Sequence[str], seed: int, val_size: int | float | Fold | None, test_size: int | float | None
) -> dict[str, Tensor]:
    """Returns the indices of each part, `train`, `val` and `test`: int64, sorted and disjoint.

    A fraction is compared with a number that a sample's id and the seed determine: what else is in the data has no
    influence. A count takes the samples with the smallest numbers. Samples with the same id are in the same part.

    Args:
        ids: Ids of all samples, as `content_id` makes them.
        seed: Seed of the validation part. The test part does not depend on it, so that no run trains on a test sample
            of a run with another seed.
        val_size: Number of validation samples: a fraction of what the test part leaves, or a count. A count can be
            exceeded by exact duplicates of the last sample. 0 or `None` for no validation part.
        test_size: Number of test samples likewise, of all samples.

    Raises:
        ValueError: If a size is out of range, a part comes out empty, or no training sample is left.
    """
    everything = np.arange(len(ids))
    test = draw_members("test_size", test_size, ids, "test")
    rest = everything[~test]
    val = rest[draw_members("val_size", val_size, [ids[position] for position in rest], f"val {seed}")]
    train = np.setdiff1d(rest, val)
    if not len(train):
        raise ValueError(
            f"test_size {test_size} and val_size {val_size} leave no training sample of {len(ids)}: lower them"
        )
    return {name: torch.from_numpy(part) for name, part in [("train", train), ("val", val), ("test", everything[test])]}


def draw_members(name: str, size: int | float | Fold | None, ids: Sequence[str], draw: str) -> np.ndarray:
    """Returns which samples belong to a part, bool `[n]`: those below a fraction, or the smallest up to a count.

    Of k folds, the first has the samples below 1 / k, the next those below 2 / k, and so on.

    Args:
        name: Name of the option, for messages.
        size: A fraction, a count, or a fold of a cross-validation; 0 or `None` for none.
        ids: Ids of the samples to draw from.
        draw: Name of the draw, as in `draw_numbers`.

    Raises:
        ValueError: If the size is out of range, or the part comes out empty.
    """
    if not size:
        return np.zeros(len(ids), dtype=bool)
    numbers = draw_numbers(ids, draw)
    if isinstance(size, Fold):
        chosen = np.floor(numbers * size.of) == size.number
        if not chosen.any():
            raise ValueError(
                f"data.folds {size.of}: {size} is empty, since each of the {len(numbers)} samples is assigned by a "
                "hash of its content; give fewer folds"
            )
        return chosen
    size = whole(size)
    count = count_of(name, size, len(numbers))  # raises for a size that is out of range
    chosen = numbers < size if isinstance(size, float) else numbers <= np.sort(numbers)[count - 1]
    if not chosen.any():
        raise ValueError(
            f"{name}: a fraction of {size} of {len(numbers)} samples came out empty, since each sample is drawn by a "
            "hash of its content; raise it, or give a count"
        )
    return chosen


def membership_notes(
    per_class: Mapping[str, Sequence[int]], class_names: Sequence[str], drawn: str = "each sample's part"
) -> list[str]:
    """Returns what to print below the table of a split by content.

    Args:
        per_class: Part -> number of samples of each class.
        class_names: Names of the classes.
        drawn: What is drawn by content, in words.
    """
    notes = [f"{drawn} is drawn by a hash of its content: sizes and class fractions come out by chance"]
    for part, counts in per_class.items():
        if lacking := [name for name, count in zip(class_names, counts, strict=True) if not count]:
            notes.append(f"no sample of {', '.join(lacking)} in {part}")
    return notes
