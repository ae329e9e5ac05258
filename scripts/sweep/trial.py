"""Trains one trial of a sweep in this process, and checks the options of all before the first."""

import difflib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from optuna import Trial, TrialPruned

from litzoo.callbacks.files import display_path
from litzoo.scripts.cli.errors import explain
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.main import run
from litzoo.scripts.cli.run_options import flat_options
from litzoo.scripts.cli.workers import ALL
from litzoo.scripts.sweep.space import RESERVED, Dimension

NOT_SEARCHED = {
    **dict.fromkeys(RESERVED, "is set by the sweep"),
    **dict.fromkeys(("config", "trainer.default_root_dir", "trainer.logger"), "does not change what is learned"),
    "seed_everything": "is chance, not a choice; compare seeds with `litzoo compare`",
    **dict.fromkeys(
        ("data.seed", "data.val_size", "data.root", "trainer.limit_val_batches", "trainer.overfit_batches"),
        "changes what the trials are validated on, so that they could not be compared",
    ),
    **dict.fromkeys(("checkpoint.monitor", "checkpoint.mode"), "is what the trials are compared by"),
    **dict.fromkeys(("trainer.devices", "trainer.num_nodes"), "has to be 1 for a trial"),
}
"""Options that cannot be searched, and why."""


class ParsedCLI(LitzooCLI):
    """Parses and checks the command line of `litzoo fit`, and instantiates nothing."""

    def instantiate_classes(self) -> None:
        """Does not create anything."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Does not train."""


def parsed_options(words: Sequence[str]) -> dict[str, Any]:
    """Returns all options of a command line of `litzoo fit`, defaults included, by their names on the command line.

    Raises:
        ValueError: If one is invalid, or a trial would train on several devices.
    """
    with _quiet_logging():
        options = run(["fit", *words], ParsedCLI).options.as_dict()
    flat = flat_options({name: value for name, value in options.items() if name != "config"})
    if flat["trainer.devices"] not in (*ALL, 1, "1") or flat["trainer.num_nodes"] != 1:
        raise ValueError(
            f"--trainer.devices {flat['trainer.devices']}: a trial trains on one device; to use several, start the "
            "same command once for each, with its number in CUDA_VISIBLE_DEVICES"
        )
    return flat


def check_space(space: Sequence[Dimension], words: Sequence[str], options: Mapping[str, Any]) -> None:
    """Checks that `litzoo fit` accepts both ends of each range and every choice.

    Args:
        space: The search space.
        words: Options of `litzoo fit` that all trials have.
        options: The same, parsed.

    Raises:
        ValueError: If an option does not exist or does not take the values; the message names it and the nearest.
    """
    for dimension in space:
        for option in dimension.options:
            if option in NOT_SEARCHED:
                raise ValueError(f"--space: {option}: cannot be searched: it {NOT_SEARCHED[option]}")
            if not _is_known(option, options):
                nearest = ", ".join(difflib.get_close_matches(option, options, n=3, cutoff=0.5)) or "none"
                raise ValueError(f"--space: {option}: is no option of this experiment; nearest: {nearest}")
    rounds = max(len(dimension.examples()) for dimension in space)
    for number in range(rounds):
        chosen = [(each, each.examples()[number % len(each.examples())]) for each in space]
        if _error([*words, *(word for each, value in chosen for word in each.words(value))]) is None:
            continue
        for dimension, value in chosen:
            if error := _error([*words, *dimension.words(value)]):
                why = explain(error)[0].removeprefix("litzoo: error: ")
                raise ValueError(f"--space: {dimension.name}: does not take {value}: {why}") from error
        raise ValueError(
            "--space: these values do not go together: "
            + ", ".join(word for each, value in chosen for word in each.words(value))
        )
    _warn_of_overridden_rate(space, options)


def _error(words: Sequence[str]) -> Exception | None:
    try:
        parsed_options(words)
    except Exception as error:  # the parser's own have no common class
        return error
    return None


def _is_known(option: str, options: Mapping[str, Any]) -> bool:
    """Whether an option is a value, a class or a dictionary of this experiment, or may be one of a class's."""
    return any(f"{name}.".startswith(f"{option}.") or option.startswith(f"{name}.") for name in options)


def _warn_of_overridden_rate(space: Sequence[Dimension], options: Mapping[str, Any]) -> None:
    searched = {option for dimension in space for option in dimension.options}
    if "model.optimizer.lr" in searched and "model.scheduler.max_lr" in set(options) - searched:
        rank_zero_warn(
            "--space: model.optimizer.lr has no effect, since the scheduler sets the learning rate from its max_lr; "
            'search both together: "model.optimizer.lr, model.scheduler.max_lr: {log: [0.0001, 0.1]}"'
        )


class Pruning(Callback):
    """Reports each validation of the metric to Optuna, which may stop the trial.

    Args:
        trial: The trial.
        monitor: The metric, such as `val/acc`.
    """

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial, self.monitor = trial, monitor
        self.values: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports the metric; the last callback to be called, so that the epoch's files are complete.

        Raises:
            TrialPruned: If the trial is worse than others were at this point.
        """
        if trainer.sanity_checking or self.monitor not in trainer.callback_metrics:
            return
        self.values.append(float(trainer.callback_metrics[self.monitor]))
        self.trial.report(self.values[-1], len(self.values))
        if self.trial.should_prune():
            raise TrialPruned


class _TrialCLI(LitzooCLI):
    """Runs `litzoo fit` with one more callback."""

    def __init__(self, pruning: Pruning, args: Any = None) -> None:
        self._pruning = pruning
        super().__init__(args)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Creates the trainer, with the callback as its last."""
        trainer = super().instantiate_trainer(**kwargs)
        trainer.callbacks.append(self._pruning)  # type: ignore[attr-defined]
        return trainer


def train(words: Sequence[str], pruning: Pruning, log: Path) -> None:
    """Trains a trial; what it prints goes into a file.

    Args:
        words: Options of `litzoo fit`.
        pruning: Collects the validations.
        log: The file.

    Raises:
        TrialPruned: If it was stopped early.
        ValueError: If it was not validated.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream, redirect_stdout(stream), redirect_stderr(stream), _quiet_logging():
        run(["fit", *words], partial(_TrialCLI, pruning))
    if not pruning.values:
        raise ValueError(
            f"{pruning.monitor} was not logged ({display_path(log.absolute())} has what was printed); trials are "
            "compared by --checkpoint.monitor, a metric of the validation"
        )


@contextmanager
def _quiet_logging() -> Iterator[None]:
    """Drops Lightning's notes on each training, and forgets the seed that it leaves to later processes."""
    before, seed = logging.root.manager.disable, os.environ.get("PL_GLOBAL_SEED")
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
        if seed is None:
            os.environ.pop("PL_GLOBAL_SEED", None)
