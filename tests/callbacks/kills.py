"""What `kill -9` leaves of a run: copies of its folder, taken at every moment while it trains."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks import files


class Moments(Callback):
    """Copies a folder at hooks of every kind, and before and after every file that is moved to its place.

    Moments at which the same is on the disk share a copy.

    Args:
        folder: Of the run.
        copies: Where the copies go to.

    Attributes:
        at: The first copy of each moment; its name is the hook's with epoch and batch, or that of the file.
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
    def taken(self) -> Iterator[list[Path]]:
        """Takes moments while files are written, as long as it is open; yields the different copies, then complete."""
        move, copies = files.os.replace, []

        def watched(source: Path, place: Path) -> None:
            self.take(f"before {place.name}")
            move(source, place)
            self.take(f"after {place.name}")

        with patch.object(files.os, "replace", watched):
            yield copies
        copies += self._known.values()


class Interrupts(Callback):
    """Ends a training in the middle of an epoch, as a crash would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Raises an error at the second batch of the epoch."""
        if (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            raise RuntimeError("killed")


def differing(found: Any, expected: Any, place: str = "") -> list[str]:
    """Names what differs between two nested contents of files: numbers to the bit, keys, lengths."""
    if isinstance(expected, dict) and isinstance(found, dict):
        here = [f"{place}{key}" for key in found.keys() ^ expected.keys()]
        shared = [key for key in expected if key in found]
        return here + [each for key in shared for each in differing(found[key], expected[key], f"{place}{key}: ")]
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple) and len(expected) == len(found):
        pairs = enumerate(zip(found, expected, strict=True))
        return [each for number, pair in pairs for each in differing(*pair, f"{place}{number}: ")]
    tensors = isinstance(expected, torch.Tensor) and isinstance(found, torch.Tensor)
    same = torch.equal(found, expected) if tensors else found is expected or bool(found == expected)
    return [] if same else [place.removesuffix(": ")]


def _moment(hook: str) -> Any:
    def take(self: Moments, trainer: Trainer, *arguments: Any) -> None:
        if self.folder.exists() and not trainer.sanity_checking:
            batch = [str(each) for each in arguments if isinstance(each, int)]
            self.take(" ".join([hook, str(trainer.current_epoch), *batch]))

    return take


for _hook in (
    *("on_train_start", "on_train_epoch_start", "on_train_batch_end", "on_validation_start", "on_validation_batch_end"),
    *("on_validation_end", "on_train_epoch_end", "on_train_end", "on_fit_end", "on_test_batch_end", "on_test_end"),
):
    setattr(Moments, _hook, _moment(_hook))
