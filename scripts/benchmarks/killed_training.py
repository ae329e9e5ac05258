"""Trainings that are killed at given moments."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.lit_modules.weights.checkpoint_files import read_checkpoint


class Place(NamedTuple):
    """Where a training is.

    Attributes:
        time: When it came there, in seconds of `time.time`.
        epoch: From 0.
        what: The fraction of its batches that are done, in percent, `validation`, `checkpoints`, `end`, `test` or
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


LITZOO = [sys.executable, "-m", "litzoo"]
LOOK_EVERY = 0.02
"""Seconds."""


class Moment(NamedTuple):
    """So many seconds after a training has come to a place."""

    place: Place
    seconds: float

    def since(self, places: Sequence[Place]) -> float | None:
        """Returns when a training was first there, or beyond; nothing if it was not yet."""
        wanted = self.place
        there = [
            place.time
            for place in places
            if place.epoch > wanted.epoch or (place.epoch, place.what) == (wanted.epoch, wanted.what)
        ]
        return there[0] if there else None


class KilledTraining:
    """One training in a folder of its own, in as many processes as it takes.

    Args:
        folder: Of its runs, and of the notes where it is.
        options: Of `litzoo fit`.
    """

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.folder, self.notes, self.log = folder, folder / "notes.txt", folder / "log.txt"
        notes = (
            f"{{class_path: litzoo.scripts.benchmarks.killed_training.PlaceNotes, init_args: {{path: {self.notes}}}}}"
        )
        self.command = [*LITZOO, "fit", *options, "--experiment", "run", "--trainer.default_root_dir", str(folder)]
        self.command += ["--trainer.enable_progress_bar", "false", "--trainer.callbacks+", notes]

    @property
    def run_folder(self) -> Path:
        """Of the only run."""
        return self.folder / "run" / "version_0"

    def live(self, until: Moment | None = None) -> Place | None:
        """Starts the training, or goes on with it; kills it at a moment, or waits for its end.

        Returns:
            Where it was killed, or nothing if it came to its end before.

        Raises:
            RuntimeError: If it failed.
        """
        resumed = (self.run_folder / "checkpoints" / "last.ckpt").exists()
        before = self.notes.stat().st_size if resumed else 0
        with self.log.open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [*self.command, *(["--ckpt_path", "last"] if resumed else [])], stdout=log, stderr=subprocess.STDOUT
            )
        try:
            since = None
            while until is not None and since is None and process.poll() is None:
                time.sleep(LOOK_EVERY)
                since = until.since(read_places(self.notes, before))
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, since + until.seconds - time.time()) if until and since else None)
        finally:
            killed = process.poll() is None
            process.kill()
            status = process.wait()
        if status == 0:
            return None
        if status > 0 or not killed:
            raise RuntimeError(f"the training has failed (exit status {status}):\n{self.log.read_text()[-2000:]}")
        return read_places(self.notes)[-1]

    def results(self) -> dict[str, Any]:
        """Returns the metrics, and the weights in both checkpoints."""
        weights = {
            name: read_checkpoint("", self.run_folder / "checkpoints" / name)["state_dict"]
            for name in ("best.ckpt", "last.ckpt")
        }
        return {"metrics": json.loads((self.run_folder / "metrics.json").read_text(encoding="utf-8")), **weights}


def moments(places: Sequence[Place], count: int, seed: int) -> list[Moment]:
    """Draws moments of a run, evenly from its first checkpoint to its end, in their order.

    Args:
        places: Where the run was, to the end.
        count: How many.
        seed: Of the draw.
    """
    first = next(place.time for place in places if place.epoch == 1)
    drawn = random.Random(seed)
    times = sorted(drawn.uniform(first, places[-1].time) for _ in range(count))
    passed = [max(place for place in places if place.time <= moment) for moment in times]
    return [Moment(place, moment - place.time) for place, moment in zip(passed, times, strict=True)]
