from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.files import atomic_write


class KeepsFileOfRefused(Callback):
    """Mixin of callbacks that write a file before the first step: puts the earlier one back if no step follows.

    Lightning restores the schedulers of a resumed training late, so that a training that does not fit them is refused
    when files have been written already. Those of the finished training stay.
    """

    _kept: tuple[Path, bytes] | None = None

    def keep(self, path: Path) -> None:
        """Remembers the content of a file, if it is there, until the first step."""
        self._kept = (path, path.read_bytes()) if path.is_file() else None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Forgets the earlier file: the training has begun."""
        self._kept = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Puts the earlier file back."""
        if self._kept is not None:
            path, content = self._kept
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
            self._kept = None
