"""A training that is killed at given moments and resumed."""

import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.lit_modules.weights.checkpoint_files import read_checkpoint
from litzoo.scripts.compare.worker import LITZOO, start

POLL_SECONDS = 0.02


class Position(NamedTuple):
    """How far a training is.

    Attributes:
        time: When it got there, in seconds of `time.time`.
        epoch: The epoch, from 0.
        stage: The percentage of the epoch's batches that are done, or `validation`, `checkpoints`, `end` (of the
            training), `test` or `tested`.
    """

    time: float
    epoch: int
    stage: str

    def __str__(self) -> str:
        return f"epoch {self.epoch}, {self.stage}" if self.stage not in ("end", "test", "tested") else self.stage


class Moment(NamedTuple):
    """A number of seconds after a training has reached a position."""

    position: Position
    seconds: float

    def reached(self, positions: Sequence[Position]) -> float | None:
        """Returns when a training has first reached the position or a later epoch; None if it has not."""
        wanted = self.position
        times = [
            position.time
            for position in positions
            if position.epoch > wanted.epoch or (position.epoch, position.stage) == (wanted.epoch, wanted.stage)
        ]
        return times[0] if times else None


class PositionLogger(Callback):
    """Appends each position of the training to a file, so that the position of a kill is known.

    Args:
        path: The file; it gets one line for each position.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._stream: TextIO | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the start of an epoch."""
        self._log(trainer, "0 %")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs the percentage of finished batches."""
        self._log(trainer, f"{100 * (batch_idx + 1) / trainer.num_training_batches:.0f} %")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the start of validation."""
        self._log(trainer, "validation")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs that checkpoints are written next: Lightning calls checkpoint callbacks last."""
        self._log(trainer, "checkpoints")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the end of the training."""
        self._log(trainer, "end")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the start of the test."""
        self._log(trainer, "test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the end of the test."""
        self._log(trainer, "tested")

    def _log(self, trainer: Trainer, stage: str) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        if self._stream is None:
            self._stream = self.path.open("a", encoding="utf-8", buffering=1)  # line-buffered: a kill loses no line
        print(time.time(), trainer.current_epoch, stage, file=self._stream)


class KilledTraining:
    """One training in its own folder, in as many processes as it takes.

    Args:
        folder: Folder of the run and of the logged positions.
        options: Options of `litzoo fit`.
    """

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.folder, self.positions, self.log = folder, folder / "positions.txt", folder / "log.txt"
        self.run_folder = folder / "run" / "version_0"
        logger = {"class_path": f"{__name__}.{PositionLogger.__name__}", "init_args": {"path": str(self.positions)}}
        self.words = ["fit", *options, "--experiment", "run", "--trainer.default_root_dir", str(folder)]
        self.words += ["--trainer.enable_progress_bar", "false", "--trainer.callbacks+", json.dumps(logger)]

    def run(self, until: Moment | None = None) -> Position | None:
        """Starts or resumes the training, and kills it at a moment or waits for its end.

        Returns:
            The position where it was killed; None if it has finished before.

        Raises:
            RuntimeError: If the training fails.
        """
        resumed = (self.run_folder / "checkpoints" / "last.ckpt").exists()
        before = self.positions.stat().st_size if resumed else 0
        words = [*self.words, *(["--ckpt_path", "last"] if resumed else [])]
        process = start(LITZOO, words, dict(os.environ), self.log, [])
        try:
            reached = None
            while until is not None and reached is None and process.is_alive():
                time.sleep(POLL_SECONDS)
                reached = until.reached(read_positions(self.positions, before))
            process.join(max(0.0, reached + until.seconds - time.time()) if until and reached else None)
        finally:
            killed = process.is_alive()
            process.kill()
            process.join()
        status = process.exitcode or 0
        if status == 0:
            return None
        if status > 0 or not killed:
            raise RuntimeError(f"the training failed (exit status {status}):\n{self.log.read_text()[-2000:]}")
        return read_positions(self.positions)[-1]

    def results(self) -> dict[str, Any]:
        """Returns the metrics, and the weights of both checkpoints."""
        weights = {
            name: read_checkpoint("", self.run_folder / "checkpoints" / name)["state_dict"]
            for name in ("best.ckpt", "last.ckpt")
        }
        return {"metrics": json.loads((self.run_folder / "metrics.json").read_text(encoding="utf-8")), **weights}


def read_positions(path: Path, start: int = 0) -> list[Position]:
    """Reads the complete lines of `PositionLogger` from a byte offset of its file on."""
    if not path.exists():
        return []
    with path.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().decode().splitlines(keepends=True)
    fields = [line.strip().split(" ", 2) for line in lines if line.endswith("\n")]
    return [Position(float(seconds), int(epoch), stage) for seconds, epoch, stage in fields]


def draw_moments(positions: Sequence[Position], count: int, seed: int) -> list[Moment]:
    """Draws moments uniformly from the time between the first checkpoint of a run and its end, in ascending order.

    Args:
        positions: Positions of the whole run.
        count: Number of moments.
        seed: Seed of the draw.
    """
    first = next(position.time for position in positions if position.epoch == 1)
    generator = random.Random(seed)
    times = sorted(generator.uniform(first, positions[-1].time) for _ in range(count))
    last = [max(position for position in positions if position.time <= time) for time in times]
    return [Moment(position, time - position.time) for position, time in zip(last, times, strict=True)]
