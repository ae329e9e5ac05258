"""What `kill -9` leaves of a run: copies of its folder, made at every hook and file operation of a training."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks import files


class Snapshots(Callback):
    """Copies a folder at many hooks, and before and after every atomic rename of a file.

    Snapshots with the same content share a copy.

    Args:
        folder: The run folder.
        copies: Folder for the copies.

    Attributes:
        at: Name of the snapshot -> its first copy. Names are `<hook> <epoch> <batch>`, or `before <file>`.
    """

    def __init__(self, folder: Path, copies: Path) -> None:
        self.folder, self.copies = folder, copies
        self.at: dict[str, Path] = {}
        self._known: dict[tuple[Any, ...], Path] = {}

    def take(self, name: str) -> None:
        """Copies the folder as it is now."""
        content = tuple((path, path.read_bytes()) for path in sorted(self.folder.rglob("*")) if path.is_file())
        if content not in self._known:
            self._known[content] = shutil.copytree(self.folder, self.copies / f"{len(self._known)} {name}")
        self.at.setdefault(name, self._known[content])

    @contextmanager
    def recording(self) -> Iterator[list[Path]]:
        """Also takes snapshots around file writes; yields a list that holds all distinct copies at the end."""
        replace, copies = files.os.replace, []

        def watched(source: Path, place: Path) -> None:
            self.take(f"before {place.name}")
            replace(source, place)
            self.take(f"after {place.name}")

        with patch.object(files.os, "replace", watched):
            yield copies
        copies += self._known.values()


class Interrupts(Callback):
    """Ends a training in the middle of an epoch with an error, as a crash would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Raises an error at the second batch of the epoch."""
        if (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            raise RuntimeError("killed")


def differences(found: Any, expected: Any, place: str = "") -> list[str]:
    """Returns the paths of all differences between two nested values; tensors must be equal bit by bit."""
    if isinstance(expected, dict) and isinstance(found, dict):
        here = [f"{place}{key}" for key in found.keys() ^ expected.keys()]
        shared = [key for key in expected if key in found]
        return here + [each for key in shared for each in differences(found[key], expected[key], f"{place}{key}: ")]
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple) and len(expected) == len(found):
        pairs = enumerate(zip(found, expected, strict=True))
        return [each for number, pair in pairs for each in differences(*pair, f"{place}{number}: ")]
    tensors = isinstance(expected, torch.Tensor) and isinstance(found, torch.Tensor)
    same = torch.equal(found, expected) if tensors else found is expected or bool(found == expected)
    return [] if same else [place.removesuffix(": ")]


def _snapshot_at(hook: str) -> Any:
    def take(self: Snapshots, trainer: Trainer, *arguments: Any) -> None:
        if self.folder.exists() and not trainer.sanity_checking:
            batch = [str(each) for each in arguments if isinstance(each, int)]
            self.take(" ".join([hook, str(trainer.current_epoch), *batch]))

    return take


for _hook in (
    *("on_train_start", "on_train_epoch_start", "on_train_batch_end", "on_validation_start", "on_validation_batch_end"),
    *("on_validation_end", "on_train_epoch_end", "on_train_end", "on_fit_end", "on_test_batch_end", "on_test_end"),
):
    setattr(Snapshots, _hook, _snapshot_at(_hook))
