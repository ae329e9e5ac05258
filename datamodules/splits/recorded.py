"""What a checkpoint records of samples whose parts are drawn by content."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from litzoo.datamodules.splits.membership import DIGEST_BYTES


class RecordedSamples(NamedTuple):
    """The samples of a run, by content.

    Attributes:
        ids: Content ids of the full training set, in its order.
        names: Their names, for messages.
        test_ids: Content ids of the test set.
    """

    ids: list[str]
    names: list[str]
    test_ids: list[str]

    def state(self) -> dict[str, Any]:
        """Returns the record as plain tensors and strings."""
        return {"ids": _packed(self.ids), "names": list(self.names), "test_ids": _packed(self.test_ids)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "RecordedSamples":
        """Restores a record."""
        return cls(_unpacked(state["ids"]), list(state["names"]), _unpacked(state["test_ids"]))

    def absent(self, present: Collection[str]) -> list[str]:
        """Returns the names of training samples that are not present, by their ids."""
        return [name for name, each in zip(self.names, self.ids, strict=True) if each not in present]


def _packed(ids: Sequence[str]) -> Tensor:
    """Returns ids as uint8 `[n, DIGEST_BYTES]`, half the size of their text."""
    return torch.tensor(list(bytes.fromhex("".join(ids))), dtype=torch.uint8).view(-1, DIGEST_BYTES)


def _unpacked(ids: Tensor) -> list[str]:
    text, width = ids.numpy().tobytes().hex(), 2 * DIGEST_BYTES
    return [text[start : start + width] for start in range(0, len(text), width)]
