"""Atomic checkpoint writes, and adding a callback's state to checkpoints that are already written."""

import copy
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from litzoo.callbacks.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically: after a kill or a full disk the previous checkpoint is still there and complete.

    Lightning writes to the system's temporary folder and moves the file from there. On another disk this move is a
    copy, and an interrupted copy leaves a broken checkpoint. Here the temporary file is in the same folder. Checkpoints
    are always loaded with `weights_only=True`, so that no code in them runs.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Writes a checkpoint atomically; remote paths (`s3://...`) are written as Lightning does.

        Raises:
            OSError: If the file cannot be written, for example because the disk is full.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            save_atomically(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Loads a checkpoint with `weights_only=True`, whatever the argument."""
        return super().load_checkpoint(path, map_location, weights_only=True)


def use_atomic_checkpoints(trainer: Trainer) -> None:
    """Makes a trainer use `AtomicCheckpointIO`, unless the user or the strategy has set another checkpoint IO."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Writes a file for `torch.load` atomically, and syncs it to the disk so that it survives a power failure.

    Raises:
        OSError: If the file cannot be written.
    """
    # In memory first: torch's own error for a full disk does not say that the disk is full.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        stream.write(buffer.getbuffer())
        stream.flush()
        os.fsync(stream.fileno())


def add_state_to_checkpoints(
    callback: Callback,
    trainer: Trainer,
    module: LightningModule,
    fit: Callable[[str], None],
    fitted_buffers: Sequence[str] = (),
    entries: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Adds a callback's state to the checkpoints of a finished training, fitted to the weights of each checkpoint.

    Every process has to call it. Afterwards the module has its own weights again, and the callback's state fits them.
    Nothing is fitted in a `fast_dev_run`, or where nothing was trained.

    Args:
        callback: Its `state_dict` is written into the files.
        trainer: Its `ModelCheckpoint` callbacks know the files.
        module: Is given the weights of each file in turn.
        fit: Fits the callback to the module's current weights, which are those that it is given the name of.
        fitted_buffers: Names of entries of the module's `state_dict` that `fit` sets; they are written too.
        entries: Further entries, each added to a mapping of this name in the files.
    """
    if trainer.fast_dev_run or not trainer.global_step:  # type: ignore[attr-defined]
        return
    fit("the weights at the end of training")
    weights = copy.deepcopy(module.state_dict())
    state = callback.state_dict()
    # Other processes may be on machines that do not have the files: the first one reads and writes them.
    for path in trainer.strategy.broadcast(_complete_checkpoints(trainer)):
        content = torch.load(path, map_location="cpu", weights_only=True) if trainer.is_global_zero else {}
        differs = content and not _equal(content["state_dict"], weights, fitted_buffers)
        others = content["state_dict"] if differs else None
        others = trainer.strategy.broadcast(others)
        if others is not None:
            # A checkpoint of a training without the option may lack the buffers, which `fit` sets anyway.
            module.load_state_dict(others | {name: weights[name] for name in fitted_buffers})
            fit(path.name)
        fitted, buffers = callback.state_dict(), module.state_dict()
        if trainer.is_global_zero:
            if fitted or callback.state_key in content["callbacks"]:
                content["callbacks"][callback.state_key] = fitted
            for name in fitted_buffers:
                content["state_dict"][name] = buffers[name].cpu().clone()
            for name, entry in (entries or {}).items():
                content[name] = {**content.get(name, {}), **entry}
            save_atomically(content, path)
        module.load_state_dict(weights)
        callback.load_state_dict(state)
    trainer.strategy.barrier()


def _complete_checkpoints(trainer: Trainer) -> list[Path]:
    """Returns the files of a training's checkpoint callbacks that have more than weights; `[]` but in rank 0."""
    if not trainer.is_global_zero:
        return []
    checkpoints = [each for each in trainer.callbacks if isinstance(each, ModelCheckpoint)]  # type: ignore[attr-defined]
    paths = {
        _path_in(Path(str(checkpoint.dirpath)), Path(path))
        for checkpoint in checkpoints
        for path in (checkpoint.best_model_path, checkpoint.last_model_path, *checkpoint.best_k_models)
        if path
    }
    return [
        path
        for path in sorted(paths)
        if path.exists() and "callbacks" in torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    ]


def _path_in(folder: Path, path: Path) -> Path:
    """Returns a stored path; by file name if the folder was moved, since the path could be that of another run."""
    return path if path.absolute().is_relative_to(folder.absolute()) else folder / path.name


def _equal(first: Mapping[str, Any], second: Mapping[str, Any], but: Sequence[str] = ()) -> bool:
    """Whether the tensors of two `state_dict`s are equal, but for some."""
    return all(
        torch.equal(values.cpu(), second[name].cpu())
        for name, values in first.items()
        if isinstance(values, Tensor) and name not in but
    )
