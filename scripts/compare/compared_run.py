import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from litzoo.callbacks.files import write_json
from litzoo.scripts.cli.checkpoints import check_checkpoint
from litzoo.scripts.cli.run_folder import read_record


def read_history(run_folder: Path) -> dict[str, dict[int, float]]:
    """Reads what TensorBoard was told in a run's training and validation.

    Returns:
        Metric -> epoch (from 1) -> value; of several values in an epoch the last.
    """
    events = EventAccumulator(str(run_folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    names = events.Tags()["scalars"]
    epoch_of: dict[int, int] = {}
    for event in events.Scalars("epoch") if "epoch" in names else ():
        epoch_of.setdefault(event.step, int(event.value) + 1)
    history = {
        name: {
            epoch_of[event.step]: event.value
            for event in sorted(events.Scalars(name), key=lambda event: event.step)
            if event.step in epoch_of
        }
        for name in names
        if name.startswith(("train/", "val/"))
    }
    return {name: values for name, values in history.items() if values}  # what is logged by steps may have no epoch


class ComparedRun:
    """One variant trained with one seed, in a folder of its own below `runs/compare_<name>/`.

    What was done is read from the files that `litzoo` leaves there; a record beside them tells with what options, so
    that a run of other options, or of a config that has changed since, does not count.

    Args:
        variant: Its name.
        seed: Of the training.
        options: Of `litzoo fit`; `{seed}` in them is the seed.
        runs: Folder of all runs.
        experiment: Folder of the comparison in it.
    """

    def __init__(self, variant: str, seed: int, options: list[str], runs: Path, experiment: str) -> None:
        self.variant, self.seed, self.options = variant, seed, options
        self._own = own = [word.replace("{seed}", str(seed)) for word in options]
        self.place = runs / experiment / variant / f"seed_{seed}"
        self.log = self.place / "log.txt"
        self._settings = ["--seed_everything", str(seed), "--experiment", f"{experiment}/{variant}/seed_{seed}"]
        self._settings += ["--trainer.default_root_dir", str(runs), "--trainer.enable_progress_bar", "false"]
        self._epochs: int | None = None
        self._identity = {"options": own, "contents": {word: _content(word) for word in own}}

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    @property
    def folder(self) -> Path | None:
        """The run folder, once there is one of these options."""
        record = _read(self.place / "compared.json")
        newest = self._newest_version()
        counts = record.get("identity") == self._identity and newest > record["older"]
        return self.place / f"version_{newest}" if counts else None

    def next_command(self, epoch: str) -> list[str] | None:
        """Returns the arguments of `litzoo` that bring the run further; nothing when it is finished.

        Args:
            epoch: `best` or `last`: whose test is wanted.
        """
        fit = ["fit", *self._own, *self._settings]
        if self.folder is None:
            return fit
        checkpoints = self.folder / "checkpoints"
        found = _read(self.folder / "metrics.json")
        if not found:
            last = checkpoints / "last.ckpt"
            return [*fit, "--ckpt_path", str(last)] if _loads(last) else fit
        test = ["test", "--config", str(self.folder / "config.yaml"), "--trainer.enable_progress_bar", "false"]
        if not any(name.startswith("test/") for name in found):
            return [*test, "--ckpt_path", str(checkpoints / "best.ckpt")]
        if epoch == "last" and not (self.folder / "metrics_last.json").exists():
            return [*test, "--ckpt_path", str(checkpoints / "last.ckpt")]
        return None

    def note_start(self) -> None:
        """Notes what is asked for, before a training that starts from nothing."""
        if self.folder is None:
            write_json(self.place / "compared.json", {"identity": self._identity, "older": self._newest_version()})

    def metrics(self, epoch: str) -> dict[str, float]:
        """Returns the metrics of a finished run: of its test, and of the last epoch of its training."""
        training = {name: values for name, values in self.history.items() if name.startswith("train/")}
        last = max((max(values) for values in training.values()), default=0)
        trained = {name: values[last] for name, values in training.items() if last in values}
        found = self._result("metrics.json" if epoch == "best" else "metrics_last.json")
        return {name: value for name, value in found.items() if name.startswith("test/")} | trained

    @cached_property
    def history(self) -> dict[str, dict[int, float]]:
        """Metric of training or validation -> epoch (from 1) -> value; of a finished run, read once."""
        return read_history(self.folder) if self.folder else {}

    def record(self) -> dict[str, Any]:
        """Returns the content of `run.json`."""
        return read_record(self.folder) if self.folder else {}

    def progress(self) -> tuple[int, int | None]:
        """Returns how many epochs are done, and of how many."""
        done = self.record().get("epochs", 0)
        if done and self._epochs is None and self.folder:
            config = yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))
            self._epochs = config["trainer"]["max_epochs"]
        return done, self._epochs

    def _result(self, name: str) -> dict[str, Any]:
        return _read(self.folder / name) if self.folder else {}

    def _newest_version(self) -> int:
        names = [path.name[8:] for path in self.place.glob("version_*")]
        return max((int(name) for name in names if name.isdigit()), default=-1)


def _content(word: str) -> str | None:
    """Returns a fingerprint of the file that an option names, if it names one; of YAML without its comments."""
    path = Path(word.split("=", 1)[-1])
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError:
        return None
    if content is None:
        return None
    if path.suffix == ".yaml":
        content = json.dumps(yaml.safe_load(content), default=str).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _loads(checkpoint: Path) -> bool:
    try:
        check_checkpoint(str(checkpoint))
    except ValueError:
        return False
    return True
