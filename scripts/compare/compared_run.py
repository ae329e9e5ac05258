"""One training of a comparison: which command is next, and what it has found."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from litzoo.callbacks.files import write_json
from litzoo.datamodules.splits.folds import Fold
from litzoo.scripts.cli.checkpoints import check_checkpoint
from litzoo.scripts.cli.run_folder import read_record
from litzoo.scripts.configs import with_shipped_configs

LOG_LINES = 10
"""Lines of a failed run's log that are printed when it has no error message."""


class ComparedRun:
    """One variant trained with one seed, in its own folder `runs/compare_<name>/<variant>/seed_<seed>/`.

    In a cross-validation it is also of one fold, in `.../seed_<seed>_fold_<fold>/`, and it is not tested.

    The state of the run is read from the files that `litzoo` writes there. `compared.json` beside them records the
    options and the content of the configs, so that a run with other options, or with a config that has changed since,
    is not reused, and how the run was trained, such as with how many others at a time.

    Args:
        variant: Name of the variant.
        seed: Seed of the training.
        options: Options of `litzoo fit`; `{seed}` in them is replaced by the seed.
        runs: Folder of all runs.
        experiment: Folder of the comparison, below `runs`.
        fold: The fold that validates, if there are folds.
        way: How a command that trains this run does it, in words.
    """

    found = "already finished"
    """What is printed of a run that does not have to be trained."""

    def __init__(
        self,
        variant: str,
        seed: int,
        options: list[str],
        runs: Path,
        experiment: str,
        fold: Fold | None = None,
        way: str = "one run at a time",
    ) -> None:
        self.way = way
        self.variant, self.seed, self.options, self.fold = variant, seed, options, fold
        name = f"seed_{seed}" if fold is None else f"seed_{seed}_fold_{fold.number}"
        self.folder = runs / experiment / variant / name
        self.log = self.folder / "log.txt"
        self._options = [word.replace("{seed}", str(seed)) for word in options]
        if fold is not None:
            folds = ["--data.folds", str(fold.of), "--data.fold", str(fold.number)]
            self._options = [*self._options, *folds, "--test_after_fit", "false"]
        self._settings = ["--seed_everything", str(seed), "--experiment", f"{experiment}/{variant}/{name}"]
        self._settings += ["--trainer.default_root_dir", str(runs), "--trainer.enable_progress_bar", "false"]
        self._max_epochs: int | None = None
        paths = zip(self._options, with_shipped_configs(self._options), strict=True)
        self._identity: dict[str, Any] = {
            "options": self._options,
            "contents": {word: _fingerprint(path) for word, path in paths},
        }

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}" + ("" if self.fold is None else f", {self.fold}")

    @property
    def run_folder(self) -> Path | None:
        """The folder `version_<k>` of the run with these options; None before it exists."""
        recorded = _read_json(self.folder / "compared.json")
        newest = self._newest_version()
        is_same = recorded.get("identity") == self._identity and newest > recorded["older"]
        return self.folder / f"version_{newest}" if is_same else None

    def contents(self) -> dict[str, str]:
        """Returns the hash of the content of each config and other file that the options name."""
        return {word: content for word, content in self._identity["contents"].items() if content is not None}

    def changed(self) -> str | None:
        """Says what differs from the options and configs with which this run was trained before, if anything does."""
        before = _read_json(self.folder / "compared.json").get("identity", self._identity)
        if before["options"] != self._options:
            return f"was trained with {shlex.join(before['options'])!r}, and is with {shlex.join(self._options)!r}"
        contents = self._identity["contents"]
        files = [word for word in contents if contents[word] != before["contents"].get(word)]
        return f"was trained with another content of {', '.join(files)}" if files else None

    def next_command(self, epoch: str) -> list[str] | None:
        """Returns the arguments of the next `litzoo` command of this run; None when it is finished.

        Args:
            epoch: Checkpoint to test, `best` or `last`.
        """
        fit = ["fit", *self._options, *self._settings]
        if self.run_folder is None:
            return fit
        checkpoints = self.run_folder / "checkpoints"
        metrics = _read_json(self.run_folder / "metrics.json")
        if not metrics:
            last = checkpoints / "last.ckpt"
            return [*fit, "--ckpt_path", str(last)] if _is_loadable(last) else fit
        if self.fold is not None:
            return None
        test = ["test", "--config", str(self.run_folder / "config.yaml"), "--trainer.enable_progress_bar", "false"]
        if not any(name.startswith("test/") for name in metrics):
            return [*test, "--ckpt_path", str(checkpoints / "best.ckpt")]
        if epoch == "last" and not (self.run_folder / "metrics_last.json").exists():
            return [*test, "--ckpt_path", str(checkpoints / "last.ckpt")]
        return None

    def begin(self, command: Sequence[str]) -> None:
        """Writes a command to the log; one that trains from scratch begins it, and `compared.json` with the options."""
        self.folder.mkdir(parents=True, exist_ok=True)
        recorded: dict[str, Any] = {"identity": self._identity, "older": self._newest_version()}
        if self.run_folder is not None:
            recorded = _read_json(self.folder / "compared.json")
        if command[0] == "fit":
            write_json(
                self.folder / "compared.json", recorded | {"ways": sorted({*recorded.get("ways", ()), self.way})}
            )
        continues = command[0] != "fit" or "--ckpt_path" in command
        with self.log.open("a" if continues else "w", encoding="utf-8") as log:
            print("$ litzoo", shlex.join(command), file=log)

    def error_lines(self) -> list[str]:
        """Returns the error message at the end of the log, or else the last lines."""
        if not self.log.exists():
            return []
        lines = [line.rstrip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        lines = [line for line in lines if line]
        errors = [number for number, line in enumerate(lines) if line.startswith("litzoo: error:")]
        return lines[errors[-1] :] if errors else lines[-LOG_LINES:]

    def metrics(self, epoch: str) -> dict[str, float]:
        """Returns the test metrics of a finished run, and the training metrics of its last epoch.

        In a cross-validation they are the validation and training metrics of the last epoch.
        """
        logged = ("train/",) if self.fold is None else ("val/", "train/")
        training = {name: values for name, values in self.history.items() if name.startswith(logged)}
        last = max((max(values) for values in training.values()), default=0)
        trained = {name: values[last] for name, values in training.items() if last in values}
        if self.fold is not None:
            return dict(sorted(trained.items(), key=lambda each: each[0].startswith("train/")))
        file = "metrics.json" if epoch == "best" else "metrics_last.json"
        tested = _read_json(self.run_folder / file) if self.run_folder else {}
        return {name: value for name, value in tested.items() if name.startswith("test/")} | trained

    @cached_property
    def history(self) -> dict[str, dict[int, float]]:
        """Training and validation metrics of a finished run: metric -> epoch (from 1) -> value."""
        return read_history(self.run_folder) if self.run_folder else {}

    def record(self) -> dict[str, Any]:
        """Returns the content of `run.json`."""
        return read_record(self.run_folder) if self.run_folder else {}

    def ways(self) -> list[str]:
        """Returns how the run was trained, in words; several where it was resumed in another way."""
        ways: list[str] = _read_json(self.folder / "compared.json").get("ways", [self.way])
        return ways

    def config(self) -> dict[str, Any]:
        """Returns the content of `config.yaml`, all options of the training."""
        text = (self.run_folder / "config.yaml").read_text(encoding="utf-8") if self.run_folder else "{}"
        return dict(yaml.safe_load(text))

    def wrong_validation_labels(self) -> float:
        """Returns the fraction of wrong validation labels, as `splits.json` says; 0 where it is not known."""
        return float(self._split_report().get("label_noise", {}).get("val", 0))

    def validation_samples(self) -> int | None:
        """Returns the number of validation samples, as `splits.json` says; `None` where it is not known."""
        size = self._split_report().get("sizes", {}).get("val")
        return None if size is None else int(size)

    def corrections(self, epoch: str) -> dict[str, Any]:
        """Returns the corrections of labels that the evaluation of a checkpoint had: the file, and how many there are.

        `splits.json` has those of the training, and of the last test. Another checkpoint may have been tested before
        that with others, as its metrics say.

        Args:
            epoch: Checkpoint that is evaluated, `best` or `last`.
        """
        report = self._split_report()
        found: dict[str, Any] = dict(report.get("test_corrections", report.get("corrections", {})))
        if self.fold is None:
            metrics, actions = self.metrics(epoch), ("relabelled", "dropped")
            tested = {action: int(metrics.get(f"test/corrections/{action}", 0)) for action in actions}
            if found or any(tested.values()):
                found = {"file": "", **found}
                found |= {action: {**found.get(action, {}), "test": tested[action]} for action in actions}
        return found

    def _split_report(self) -> dict[str, Any]:
        return _read_json(self.run_folder / "splits.json") if self.run_folder else {}

    def progress(self) -> tuple[int, int | None]:
        """Returns the number of finished epochs, and `max_epochs` once it is known."""
        done = self.record().get("epochs", 0)
        if done and self._max_epochs is None and self.run_folder:
            self._max_epochs = self.config()["trainer"]["max_epochs"]
        return done, self._max_epochs

    def _newest_version(self) -> int:
        names = [path.name[8:] for path in self.folder.glob("version_*")]
        return max((int(name) for name in names if name.isdigit()), default=-1)


def read_history(run_folder: Path) -> dict[str, dict[int, float]]:
    """Reads the training and validation metrics that a run has logged to TensorBoard.

    Returns:
        Metric -> epoch (from 1) -> value; the last one if an epoch has several values.
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
    return {name: values for name, values in history.items() if values}  # values logged per step may have no epoch


def _fingerprint(word: str) -> str | None:
    """Returns a hash of the file that an option names, if it names one; comments in YAML do not count."""
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


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _is_loadable(checkpoint: Path) -> bool:
    try:
        check_checkpoint(str(checkpoint))
    except ValueError:
        return False
    return True
