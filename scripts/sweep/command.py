r"""Searches for the options that give the best validation metric, with Optuna.

usage: litzoo sweep --config CONFIG --space SPACE.yaml [--trials 20] [--name NAME] [--seed 0] [--no_pruning] [OPTIONS]

CONFIG is a YAML file or a shipped experiment (`litzoo configs` lists them); OPTIONS are those of `litzoo fit`, the same
for all trials, such as `--trainer.max_epochs 5`. SPACE.yaml names the options to search:

    model.optimizer.lr: {log: [1e-4, 1e-1]}
    model.dropout: {uniform: [0, 0.5]}
    data.batch_size: {int: [16, 128, 16]}        # lowest, highest, step
    model.hidden: {choice: [[64], [128, 64]]}

  --trials      number of trials in all, also when the command is repeated
  --name        the folder is runs/sweep_<name>; default: the name of the config
  --seed        seed of the search; that of the trainings is --seed_everything
  --no_pruning  train every trial to its end

Trials are compared by the best value of --checkpoint.monitor, a metric of the validation; the test set is not used. A
trial whose metric is worse than the median of the others after the same number of validations is stopped, once five
trials and a quarter of the epochs are over. The same command goes on with an interrupted sweep; started several times,
such as once for each GPU, it shares the trials. `runs/sweep_<name>/` has:

  best.yaml        the config of the best trial: litzoo fit --config runs/sweep_<name>/best.yaml
  results.md       the trials, best first, with the figures importance.png and parallel_coordinates.png
  trials.csv       a row for each trial
  trial_<number>/  log and run folder of each trial; only the best keeps its checkpoints
  journal.log      the storage of Optuna
"""

import argparse
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from litzoo.callbacks.files import display_path
from litzoo.scripts.cli.failures import report_errors_or_help
from litzoo.scripts.cli.options import check_experiment
from litzoo.scripts.sweep.space import RESERVED, read_space


def main() -> None:
    """Runs `litzoo sweep`."""
    report_errors_or_help(__doc__, lambda: sweep(sys.argv[2:]))


def sweep(arguments: list[str]) -> Path:
    """Runs the trials that are missing, and writes the results.

    Args:
        arguments: As on the command line, after `litzoo sweep`.

    Returns:
        The folder of the sweep.

    Raises:
        ModuleNotFoundError: If Optuna is not installed.
        ValueError: If an option is invalid, or the folder holds a sweep of another space or other options.
    """
    own, words = _own_options(arguments)
    if find_spec("optuna") is None:
        raise ModuleNotFoundError("litzoo sweep: needs optuna; `pip install 'litzoo[sweep]'`")
    from litzoo.scripts.sweep.report import write_report
    from litzoo.scripts.sweep.study import Sweep
    from litzoo.scripts.sweep.trial import check_space, parsed_options

    space = read_space(own.space)
    options = parsed_options(words)
    monitor = str(options["checkpoint.monitor"])
    if not monitor.startswith("val/"):
        raise ValueError(
            f"--checkpoint.monitor {monitor}: trials are compared by a metric of the validation, such as val/loss"
        )
    check_space(space, words, options)
    folder = Path(options["trainer.default_root_dir"]) / f"sweep_{own.name or options['experiment']}"
    searched = Sweep(folder, space, words, options, own.seed, prunes=not own.no_pruning)
    try:
        searched.run(own.trials)
    finally:
        if searched.finished():
            print(write_report(searched, f"litzoo sweep {shlex.join(arguments)}"))
    if searched.best() is None:
        return folder
    best = display_path((folder / "best.yaml").absolute())
    print(f"train and test the best with several seeds: litzoo compare {best} --seeds 0 1 2 --name {folder.name}_best")
    return folder


def _own_options(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Splits the options of this command from those of `litzoo fit`."""
    parser = argparse.ArgumentParser("litzoo sweep", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--space", type=Path)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no_pruning", action="store_true")
    try:
        own, words = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(f"{error.argument_name}: {error.message}") from error
    if own.space is None:
        raise ValueError("--space: is missing; name a YAML file such as `model.optimizer.lr: {log: [0.0001, 0.1]}`")
    if own.trials < 1 or own.seed < 0:
        name, value = ("trials", own.trials) if own.trials < 1 else ("seed", own.seed)
        raise ValueError(f"--{name} {value}: give at least {int(name == 'trials')}")
    if own.name is not None:
        try:
            check_experiment(own.name)
        except ValueError as error:
            raise ValueError(str(error).replace("--experiment", "--name", 1)) from error
    given = {word.split("=", 1)[0].removeprefix("--") for word in words}
    if reserved := given.intersection(RESERVED):
        raise ValueError(f"--{min(reserved)}: is set by the sweep; leave it out")
    return own, words
