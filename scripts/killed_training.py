"""Trainings that are killed at given moments."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lit_modules.checkpoint_files import read_checkpoint
from scripts.place_notes import Place, read_places

LITZOO = [sys.executable, "-m", "scripts.cli"]
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
        notes = f"{{class_path: scripts.place_notes.PlaceNotes, init_args: {{path: {self.notes}}}}}"
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
