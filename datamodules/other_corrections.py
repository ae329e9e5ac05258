"""Tests of a checkpoint with other corrections than those of its training.

Corrections are applied after the splits have been drawn, and move no sample between the parts: whatever they say, no
test sample is one that was trained on. So a checkpoint can be tested before and after a correction; everything else
that determines the split has to be the same.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities import rank_zero_warn

from litzoo.datamodules.counted import counted
from litzoo.datamodules.splits.record import require_same_options, require_same_split

if TYPE_CHECKING:
    from litzoo.datamodules.class_labels import ClassLabels

_OPTION, _NONE = "corrections", "None"


class OtherCorrections:
    """Compares the corrections of a datamodule with those that a checkpoint was trained with.

    Args:
        data: The datamodule.

    Attributes:
        trained_with: The option `corrections` of the checkpoint that is tested, if it had others.
    """

    def __init__(self, data: "ClassLabels") -> None:
        self.data = data
        self.trained_with: str | None = None

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint records: what the corrections change, and the split without them."""
        if self.data.applied_corrections is None or self.data.delivered is None:
            return {}
        without = self.data.fingerprint_of(*self.data.delivered)
        applied = self.data.applied_corrections
        return {_OPTION: {"file": applied.file, "digest": applied.digest, "fingerprint_without": without}}

    def check_split(self, saved: Mapping[str, Any]) -> None:
        """Checks that a checkpoint was trained on this split; a test or prediction may have other corrections.

        Args:
            saved: The datamodule's state in the checkpoint.

        Raises:
            ValueError: If it was not; the message names the options that differ.
        """
        if not self._are_accepted(saved):
            require_same_split(saved, self.data.fingerprint(), self._compared(saved))
            return
        assert self.data.delivered is not None
        state, options = self._without(saved)
        present = self.data.fingerprint_of(*self.data.delivered)
        if _OPTION in saved:
            state["fingerprint"] = saved[_OPTION]["fingerprint_without"]
        elif saved["options"].get(_OPTION, _NONE) != _NONE:  # an older checkpoint: its options have to suffice
            require_same_options(state, options)
            return
        require_same_split(state, present, options)

    def check_options(self, saved: Mapping[str, Any]) -> None:
        """Checks likewise that the options are the same, where samples are found again by their content."""
        if self._are_accepted(saved):
            require_same_options(*self._without(saved))
        else:
            require_same_options(saved, self._compared(saved))

    def warn(self) -> None:
        """Says how many test labels differ from those of the files, if the checkpoint had other corrections."""
        if self.trained_with is None:
            return
        trained = "without corrections" if self.trained_with == _NONE else f"with {self.trained_with}"
        applied, counts = self.data.applied_corrections, self.test_counts().values()
        if applied is None:
            rank_zero_warn(
                f"data.corrections is not given, but the checkpoint was trained {trained}: the test labels are as in "
                "the files"
            )
        else:
            rank_zero_warn(
                f"data.corrections is {applied.file}, but the checkpoint was trained {trained}: {self.test_changes()}"
                + ("; compare the results with those of tests with the same corrections" if any(counts) else "")
            )

    def test_counts(self) -> dict[str, int]:
        """Returns how many test samples are relabelled and dropped; nothing without corrections."""
        if self.data.applied_corrections is None or self.data.test_labels is None:
            return {}
        return {name: self.data.applied_corrections.counts[name]["test"] for name in ("relabelled", "dropped")}

    def test_changes(self) -> str:
        """Says the same in words: `of 41 test samples, 3 are relabelled and 1 is dropped`."""
        assert self.data.test_labels is not None
        changes = [f"{counted(number, 'is', 'are')} {name}" for name, number in self.test_counts().items() if number]
        samples = counted(len(self.data.test_labels), "test sample")
        return f"of {samples}, {' and '.join(changes) or 'none is relabelled or dropped'}"

    def _are_accepted(self, saved: Mapping[str, Any]) -> bool:
        """Whether the corrections are others than those of a checkpoint, and may be."""
        trainer = self.data.trainer
        accepted = trainer is not None and trainer.state.fn in ("test", "predict") and self._are_others(saved)
        before = saved["options"].get(_OPTION, _NONE)
        self.trained_with = saved.get(_OPTION, {}).get("file", before) if accepted else None
        return accepted

    def _are_others(self, saved: Mapping[str, Any]) -> bool:
        """Whether the corrections change something else, whatever the names of the files."""
        before, now = saved["options"].get(_OPTION, _NONE), self.data.split_options()[_OPTION]
        digest = "" if self.data.applied_corrections is None else self.data.applied_corrections.digest
        if _OPTION in saved:
            return bool(saved[_OPTION]["digest"] != digest)
        return bool(digest) if before == _NONE else before != now  # an older checkpoint has the names only

    def _without(self, saved: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Returns a checkpoint's state and the present options, both without the corrections."""
        options = {name: value for name, value in self.data.split_options().items() if name != _OPTION}
        before = {name: value for name, value in saved["options"].items() if name != _OPTION}
        return {**saved, "options": before}, options

    def _compared(self, saved: Mapping[str, Any]) -> dict[str, str]:
        """Returns the present options, with corrections that say whether they are those of a checkpoint."""
        options, before = self.data.split_options(), saved.get("options", {}).get(_OPTION)
        if before is None:
            return options
        if not self._are_others(saved):
            return options | {_OPTION: before}
        return options | ({_OPTION: f"{before} with other content"} if options[_OPTION] == before else {})
