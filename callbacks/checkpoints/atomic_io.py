import copy
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from litzoo.callbacks.files import in_one_step


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


def complete_checkpoints(
    callback: Callback, trainer: Trainer, module: LightningModule, fit: Callable[[], None]
) -> None:
    """Puts a callback's state into the checkpoints of a finished training, fitted to the weights of each.

    Every process has to call it. The module has its weights back afterwards, and the callback's state fits them.

    Args:
        callback: Whose `state_dict` goes into the files.
        trainer: Whose checkpoint callbacks know the files.
        module: Gets the weights of each file in turn.
        fit: Fits the callback to the module as it is.
    """
    keepers = [each for each in trainer.callbacks if isinstance(each, ModelCheckpoint)]  # type: ignore[attr-defined]
    # By name: a folder may have been moved since, and the path in its checkpoints be that of another run.
    paths = {
        Path(str(keeper.dirpath), Path(path).name)
        for keeper in keepers
        for path in (keeper.best_model_path, keeper.last_model_path, *keeper.best_k_models)
        if path
    }
    weights = copy.deepcopy(module.state_dict())
    fit()
    state = callback.state_dict()
    for path in sorted(path for path in paths if path.exists()):
        content = torch.load(path, map_location="cpu", weights_only=True)
        if "callbacks" not in content:
            continue  # of weights alone
        if not _same(content["state_dict"], weights):
            module.load_state_dict(content["state_dict"])
            fit()
        content["callbacks"][callback.state_key] = callback.state_dict()
        if trainer.is_global_zero:
            save_in_one_step(content, path)
        trainer.strategy.barrier()
        module.load_state_dict(weights)
        callback.load_state_dict(state)


def _same(saved: Mapping[str, Any], weights: Mapping[str, Any]) -> bool:
    """Whether two modules' tensors are equal."""
    return all(
        torch.equal(values.cpu(), weights[name].cpu()) for name, values in saved.items() if isinstance(values, Tensor)
    )
