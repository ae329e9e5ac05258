"""Runs the trials of a sweep, and keeps them in Optuna's storage."""

import fcntl
import gc
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from litzoo.callbacks.files import display_path
from litzoo.datamodules.counted import counted
from litzoo.scripts.cli.arguments import shorten
from litzoo.scripts.cli.changed_options import join_first
from litzoo.scripts.cli.errors import explain
from litzoo.scripts.cli.failures import Ended, signal_name
from litzoo.scripts.sweep.space import Dimension
from litzoo.scripts.sweep.trial import Pruning, train

JOURNAL, STUDY, IDENTITY = "journal.log", "sweep", "identity"
MAX_FAILURES = 3
"""Trials that fail in a row before the sweep ends."""
STARTUP_TRIALS = 5
"""Trials that are never pruned."""
WITHOUT_EFFECT = (
    "trainer.default_root_dir",
    "trainer.logger",
    "trainer.enable_model_summary",
    "data.root",
    "experiment",
)
"""Options that may change when a sweep goes on."""
REPEATS = "repeats"
"""Attribute of a trial that has got the values of an interrupted one: the number of that."""


class Sweep:
    """The trials of a search space, in the folder `runs/sweep_<name>`.

    Args:
        folder: The folder; made by `run`.
        space: The searched options.
        words: Options of `litzoo fit` that all trials have.
        options: The same, parsed.
        seed: Of the search. Each trial has its own random numbers, so that a sweep that goes on proposes what an
            unbroken one would have.
        prunes: Whether bad trials are stopped early.

    Attributes:
        devices: `trainer.devices` without the sweep.
        monitor: The metric that trials are compared by, and `mode`, whether it is to be `max` or `min`.

    Raises:
        ValueError: If the folder holds a sweep with another space or other options.
    """

    def __init__(
        self,
        folder: Path,
        space: Sequence[Dimension],
        words: Sequence[str],
        options: Mapping[str, Any],
        seed: int = 0,
        prunes: bool = True,
    ) -> None:
        optuna.logging.set_verbosity(logging.WARNING)
        self.folder, self.space, self.words, self.seed = folder, list(space), list(words), seed
        self.monitor, self.mode = str(options["checkpoint.monitor"]), str(options["checkpoint.mode"])
        self.devices = options["trainer.devices"]
        epochs = options["trainer.max_epochs"]
        warmup = max(1, (epochs if isinstance(epochs, int) and epochs > 0 else 1) // 4)
        self._pruner = (
            optuna.pruners.MedianPruner(STARTUP_TRIALS, n_warmup_steps=warmup) if prunes else optuna.pruners.NopPruner()
        )
        kept = {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}
        self._identity = {
            "space": {each.name: each.text for each in space},
            "options": {**kept, "--seed": seed, "--no_pruning": not prunes},
        }
        self._study: optuna.Study | None = None
        if (folder / JOURNAL).is_file():
            self._check_identity()

    @property
    def study(self) -> optuna.Study:
        """Optuna's study, made when it is first asked for."""
        if self._study is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._study = optuna.create_study(
                storage=self._storage(),
                study_name=STUDY,
                direction="maximize" if self.mode == "max" else "minimize",
                pruner=self._pruner,
                load_if_exists=True,
            )
            if IDENTITY not in self._study.user_attrs:
                self._study.set_user_attr(IDENTITY, json.dumps(self._identity))
        return self._study

    def finished(self) -> list[FrozenTrial]:
        """Returns the trials that were completed, pruned or have failed, in the order of their numbers."""
        if not (self.folder / JOURNAL).is_file():
            return []
        return [trial for trial in self._trials() if trial.state.is_finished()]

    def run(self, count: int) -> None:
        """Trains until `count` trials are completed or pruned; other processes may train some of them meanwhile.

        Raises:
            Exception: That of a trial, if three in a row have failed.
        """
        failures = 0
        self.folder.mkdir(parents=True, exist_ok=True)
        with _presence(self.folder) as is_alone:
            if is_alone:
                for trial in self.study.get_trials(states=[TrialState.RUNNING]):
                    self._repeat(trial.number)  # its process was killed
            while sum(trial.state != TrialState.FAIL for trial in self._trials()) < count:
                error = self._run_trial()
                failures = failures + 1 if error else 0
                if error and failures == MAX_FAILURES:
                    raise error

    def trial_folder(self, number: int) -> Path:
        """Returns the folder of a trial."""
        return self.folder / f"trial_{number:03}"

    def best(self) -> FrozenTrial | None:
        """Returns the completed trial with the best value; the first of equals."""
        completed = [trial for trial in self.finished() if trial.state == TrialState.COMPLETE]
        choose = max if self.mode == "max" else min
        return choose(completed, key=lambda trial: float(trial.value or 0)) if completed else None

    def _trials(self) -> list[FrozenTrial]:
        """Returns the trials that have begun, without those that others repeat."""
        trials = self.study.get_trials(deepcopy=False)
        repeated = {trial.user_attrs[REPEATS] for trial in trials if REPEATS in trial.user_attrs}
        return [each for each in trials if each.state != TrialState.WAITING and each.number not in repeated]

    def _run_trial(self) -> Exception | None:
        """Trains one trial, and prints a line about it; returns the error of a failed one."""
        study = self.study
        study.sampler = optuna.samplers.TPESampler(seed=self.seed + 1_000_003 * len(self._trials()))
        trial = study.ask({each.name: each.distribution() for each in self.space})
        pruning, started = Pruning(trial, self.monitor), time.monotonic()
        state, error = TrialState.COMPLETE, None
        try:
            train(self._words(trial), pruning, self.trial_folder(trial.number) / "log.txt")
        except optuna.TrialPruned:
            state = TrialState.PRUNED
        except FloatingPointError as diverged:  # an answer, too: such values are bad
            state = TrialState.PRUNED
            trial.set_user_attr("error", explain(diverged)[0].removeprefix("litzoo: error: "))
        except Exception as failed:
            state, error = TrialState.FAIL, failed
            trial.set_user_attr("error", explain(failed)[0].removeprefix("litzoo: error: "))
        except Ended as ended:
            self._repeat(trial.number)
            signal = signal_name(int(ended.code or 0) - 128)
            raise Ended(int(ended.code or 0), f"ended by {signal}; the same command goes on with the sweep") from None
        except BaseException:
            self._repeat(trial.number)
            raise
        trial.set_user_attr("seconds", round(time.monotonic() - started, 1))
        value = (max if self.mode == "max" else min)(pruning.values) if state == TrialState.COMPLETE else None
        study.tell(trial, value, state)
        self._keep_best_checkpoints()
        gc.collect()
        print(self._line(trial.number), flush=True)
        return error

    def _words(self, trial: optuna.Trial) -> list[str]:
        chosen = [word for each in self.space for word in each.words(trial.params[each.name])]
        place = self.trial_folder(trial.number)
        own = ["--trainer.devices=1", "--test_after_fit=false", "--trainer.enable_progress_bar=false"]
        runs = self.folder.parent
        return [*self.words, *chosen, *own, f"--experiment={place.relative_to(runs)}"]

    def _repeat(self, number: int) -> None:
        """Gives the values of an interrupted trial to the next one."""
        trial = self.study.get_trials(deepcopy=False)[number]
        self.study.enqueue_trial(trial.params, user_attrs={REPEATS: number})
        self.study.tell(number, state=TrialState.FAIL)
        shutil.rmtree(self.trial_folder(number), ignore_errors=True)

    def _keep_best_checkpoints(self) -> None:
        best = self.best()
        for trial in self.finished():
            if best is None or trial.number != best.number:
                for checkpoints in self.trial_folder(trial.number).glob("version_*/checkpoints"):
                    shutil.rmtree(checkpoints, ignore_errors=True)

    def _line(self, number: int) -> str:
        trial = self.study.get_trials(deepcopy=False)[number]
        chosen = ", ".join(f"{each.name} {as_text(trial.params[each.name])}" for each in self.space)
        validations = len(trial.intermediate_values)
        if trial.state == TrialState.COMPLETE:
            leads = (best := self.best()) is not None and best.number == number
            best_so_far = "; the best so far" if leads else ""
            result = f"{self.monitor} {trial.value:.5g}{best_so_far}"
        elif trial.state == TrialState.PRUNED and "error" not in trial.user_attrs:
            result = f"stopped after {counted(validations, 'validation')}"
        else:
            result = f"failed: {trial.user_attrs['error']}"
        return f"trial {number}: {result} ({chosen})"

    def _storage(self) -> JournalStorage:
        return JournalStorage(JournalFileBackend(str(self.folder / JOURNAL)))

    def _check_identity(self) -> None:
        try:
            found = json.loads(optuna.load_study(storage=self._storage(), study_name=STUDY).user_attrs[IDENTITY])
        except KeyError:  # it was killed before the first trial
            return
        except ValueError as error:
            path = display_path((self.folder / JOURNAL).absolute())
            raise ValueError(f"{path}: is damaged ({error}); remove the folder, or give another --name") from error
        now = json.loads(json.dumps(self._identity))
        for part in ("space", "options"):
            before, after = found[part], now[part]
            names = [name for name in {**after, **before} if before.get(name) != after.get(name)]
            if names:
                texts = [f"{name} was {_shown(before.get(name))}, is {_shown(after.get(name))}" for name in names]
                what = "another space" if part == "space" else "other options"
                raise ValueError(
                    f"{display_path(self.folder.absolute())}: holds a sweep with {what}: {join_first(texts)}; give "
                    "another --name, or remove the folder"
                )


def as_text(value: Any) -> str:
    """Returns a searched value for tables."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _shown(value: Any) -> str:
    return "not there" if value is None else shorten(str(value))


@contextmanager
def _presence(folder: Path) -> Iterator[bool]:
    """Locks the folder of a sweep, together with other processes; yields whether there was none when this one began."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = True
        except OSError:
            is_alone = False
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield is_alone
