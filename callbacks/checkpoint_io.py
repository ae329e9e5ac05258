import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Trainer

from callbacks.files import in_one_step


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that neither a kill nor a full disk leaves half of one, or takes away the one before.

    Lightning's own writes into the system's folder for temporary files and moves it from there, which is a copy where
    that is another disk: what ends it in between leaves a broken checkpoint. Here the temporary file is beside its
    place. Loading takes plain weights alone: nothing in a checkpoint is run.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Writes a checkpoint in one step; one to be kept elsewhere (`s3://...`) as Lightning does.

        Raises:
            OSError: If it cannot be written, such as for want of space.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            save_in_one_step(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Loads a checkpoint, whatever is asked for as plain weights."""
        return super().load_checkpoint(path, map_location, weights_only=True)


def save_in_one_step(content: dict[str, Any], path: Path) -> None:
    """Writes what `torch.load` reads; once this has returned, a failure of power does not undo it.

    Raises:
        OSError: If it cannot be written.
    """
    # In memory first: torch tells of a full disk without saying so.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with in_one_step(path) as temporary, temporary.open("wb") as stream:
        stream.write(buffer.getbuffer())
        stream.flush()
        os.fsync(stream.fileno())


def write_atomically(trainer: Trainer) -> None:
    """Has a trainer write with `AtomicCheckpointIO`, unless the user or the strategy has chosen another way."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
