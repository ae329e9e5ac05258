import time
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer


class Place(NamedTuple):
    """Where a training is.

    Attributes:
        time: When it came there, in seconds of `time.time`.
        epoch: From 0.
        what: The share of its batches that are done, in percent, `validation`, `checkpoints`, `end`, `test` or
            `tested`.
    """

    time: float
    epoch: int
    what: str

    def __str__(self) -> str:
        return f"epoch {self.epoch}, {self.what}" if self.what not in ("end", "test", "tested") else self.what


class PlaceNotes(Callback):
    """Notes in a file where the training is, so that it can be told where a kill has hit it.

    Args:
        path: Of the file; a line for each place is added.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._stream: TextIO | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that no batch is done."""
        self._note(trainer, "0 %")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes how many are."""
        self._note(trainer, f"{100 * (batch_idx + 1) / trainer.num_training_batches:.0f} %")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that validation begins."""
        self._note(trainer, "validation")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that the checkpoints are next: the callbacks that keep them are called last."""
        self._note(trainer, "checkpoints")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that training is over."""
        self._note(trainer, "end")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that the best checkpoint is tested."""
        self._note(trainer, "test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that it has been."""
        self._note(trainer, "tested")

    def _note(self, trainer: Trainer, what: str) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        if self._stream is None:
            self._stream = self.path.open("a", encoding="utf-8", buffering=1)  # what is written stays, killed or not
        print(time.time(), trainer.current_epoch, what, file=self._stream)


def read_places(path: Path, start: int = 0) -> list[Place]:
    """Reads what `PlaceNotes` has noted so far, from a byte of the file on."""
    if not path.exists():
        return []
    with path.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().decode().splitlines(keepends=True)
    whole = [line.strip().split(" ", 2) for line in lines if line.endswith("\n")]
    return [Place(float(noted), int(epoch), what) for noted, epoch, what in whole]
