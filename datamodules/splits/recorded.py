"""What a checkpoint records of samples whose parts are drawn by content."""

from collections import Counter
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
        thumbnails: Small versions of the images of the full training set, uint8 `[N, C, SIDE, SIDE]`, by which they are
            recognised if they are encoded anew; `None` if they are not recorded.
        dropped: Content ids of those of the full training set that corrections dropped, so that they were not used.
    """

    ids: list[str]
    names: list[str]
    test_ids: list[str]
    thumbnails: Tensor | None = None
    dropped: Sequence[str] = ()

    def state(self) -> dict[str, Any]:
        """Returns the record as plain tensors and strings."""
        state = {"ids": _packed(self.ids), "names": list(self.names), "test_ids": _packed(self.test_ids)}
        state |= {"dropped": _packed(self.dropped)} if self.dropped else {}
        return state | ({} if self.thumbnails is None else {"thumbnails": self.thumbnails})

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "RecordedSamples":
        """Restores a record."""
        dropped = _unpacked(state["dropped"]) if "dropped" in state else []
        ids, tested = _unpacked(state["ids"]), _unpacked(state["test_ids"])
        return cls(ids, list(state["names"]), tested, state.get("thumbnails"), dropped)

    def trained_on(self) -> set[str]:
        """Returns the content ids of the samples that the run trained on or validated with, without dropped ones."""
        return set(Counter(self.ids) - Counter(self.dropped))

    def absent_positions(self, present: Collection[str]) -> list[int]:
        """Returns the positions of training samples that are not present, by their ids."""
        return [position for position, each in enumerate(self.ids) if each not in present]

    def new(self, ids: Sequence[str], names: Sequence[str]) -> list[bool]:
        """Returns which samples are not recorded; of several with one id, as many as are recorded are not new.

        Args:
            ids: Content ids of all samples, of which the record may hold more or fewer.
            names: Their names; of samples with one id, those with a recorded name come first.
        """
        left = Counter([*self.ids, *self.test_ids])
        named = set(zip(self.ids, self.names, strict=True))
        new = [False] * len(ids)
        for position in sorted(range(len(ids)), key=lambda each: (ids[each], names[each]) not in named):
            new[position] = left[ids[position]] <= 0
            left[ids[position]] -= 1
        return new

    def absent(self, present: Collection[str]) -> list[str]:
        """Returns the names of training samples that are not present, by their ids."""
        return [self.names[position] for position in self.absent_positions(present)]


def _packed(ids: Sequence[str]) -> Tensor:
    """Returns ids as uint8 `[n, DIGEST_BYTES]`, half the size of their text."""
    return torch.tensor(list(bytes.fromhex("".join(ids))), dtype=torch.uint8).view(len(ids), DIGEST_BYTES)


def _unpacked(ids: Tensor) -> list[str]:
    text, width = ids.numpy().tobytes().hex(), 2 * DIGEST_BYTES
    return [text[start : start + width] for start in range(0, len(text), width)]
