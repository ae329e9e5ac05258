from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule

from lit_modules.foreign_code import refuse_foreign_code


class PlainLoading(LightningModule):
    """Loads checkpoints without running anything that they bring or name."""

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **options: Any,
    ) -> Any:
        """Returns the module in a checkpoint, as Lightning does.

        Args:
            checkpoint_path: A path, a URL or a file that is open for reading.
            map_location: See `torch.load`.
            hparams_file: YAML file whose hyperparameters take the place of those in the checkpoint.
            strict: Whether all weights have to be there and no others.
            weights_only: False also loads objects, which may run any code: for checkpoints of your own.
            **options: Hyperparameters that take the place of those in the checkpoint.

        Raises:
            ValueError: If the checkpoint names a class that is not imported yet.
        """
        if weights_only and hparams_file is None:
            refuse_foreign_code(f"checkpoint {checkpoint_path}", _content(checkpoint_path), given=options)
        return super().load_from_checkpoint(
            checkpoint_path, map_location, hparams_file, strict, weights_only=weights_only, **options
        )


def _content(checkpoint: Any) -> dict[str, Any]:
    if isinstance(checkpoint, (str, Path)):
        return TorchCheckpointIO().load_checkpoint(checkpoint, weights_only=True)
    begin = checkpoint.tell()
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    checkpoint.seek(begin)
    return content
