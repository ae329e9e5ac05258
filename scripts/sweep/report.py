"""The results of a sweep: the table of its trials, its figures, and the best config."""

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import yaml
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from litzoo.callbacks.files import atomic_write, display_path, write_csv
from litzoo.scripts.cli.run_folder import read_record
from litzoo.scripts.sweep.figures import draw_importance, draw_parallel_coordinates
from litzoo.scripts.sweep.study import Sweep, as_text
from litzoo.scripts.tables import markdown_table

MOST_ROWS = 20
"""Rows of the tables in `results.md` and on the screen; `trials.csv` has all."""
FEWEST_FOR_IMPORTANCE = 8
"""Completed trials below which the importances would be chance."""
STATES = {TrialState.COMPLETE: "completed", TrialState.PRUNED: "stopped early", TrialState.FAIL: "failed"}


def write_report(sweep: Sweep, command: str) -> str:
    """Writes `trials.csv`, `results.md`, `best.yaml` and the figures; returns the table as Markdown.

    Args:
        sweep: With at least one finished trial.
        command: The command line, for the record.
    """
    trials = _ranked(sweep)
    write_csv(sweep.folder / "trials.csv", _columns(sweep, trials))
    best = sweep.best()
    if best is not None:
        _write_best(sweep, best, len(trials))
    header = ["trial", sweep.monitor, "", *(each.name for each in sweep.space)]
    table = markdown_table(header, [_row(sweep, trial) for trial in trials[:MOST_ROWS]])
    counts = [f"{sum(trial.state == state for trial in trials)} {text}" for state, text in STATES.items()]
    caption = (
        f"{len(trials)} trials: {', '.join(counts)}. The value is the best validation of each trial; that of the best "
        "trial was chosen among all, so that it is optimistic."
    )
    figures, remark = _write_figures(sweep, trials)
    record = read_record(_run_folder(sweep, best.number)) if best is not None else {}
    facts = ", ".join(str(record[name]) for name in ("hardware", "precision") if record.get(name))
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    parts = [
        f"# {sweep.folder.name}",
        table,
        f"{caption} {facts}, {date}.",
        f"```bash\n{command}\n```",
        remark,
        *figures,
    ]
    with atomic_write(sweep.folder / "results.md") as temporary:
        temporary.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    written = [name for name in ("best.yaml", "results.md", "trials.csv") if (sweep.folder / name).is_file()]
    paths = [f"{name:10}  {display_path((sweep.folder / name).absolute())}" for name in written]
    return "\n".join(["", table, "", caption, *([remark] if remark else []), *paths])


def _ranked(sweep: Sweep) -> list[FrozenTrial]:
    """Returns the finished trials: the completed ones, best first, then those stopped, then those that failed."""
    sign = -1 if sweep.mode == "max" else 1
    order = list(STATES)

    def rank(trial: FrozenTrial) -> tuple[int, float]:
        return order.index(trial.state), sign * float(
            trial.value or 0
        ) if trial.state == TrialState.COMPLETE else trial.number

    return sorted(sweep.finished(), key=rank)


def _row(sweep: Sweep, trial: FrozenTrial) -> list[str]:
    value = f"{trial.value:.5g}" if trial.state == TrialState.COMPLETE else ""
    validations = len(trial.intermediate_values)
    state = "" if value else STATES[trial.state] + (f" ({validations})" if trial.state == TrialState.PRUNED else "")
    return [str(trial.number), value, state, *(as_text(trial.params[each.name]) for each in sweep.space)]


def _columns(sweep: Sweep, trials: Sequence[FrozenTrial]) -> dict[str, list[Any]]:
    return {
        "trial": [trial.number for trial in trials],
        "state": [STATES[trial.state] for trial in trials],
        sweep.monitor: [trial.value if trial.state == TrialState.COMPLETE else "" for trial in trials],
        "validations": [len(trial.intermediate_values) for trial in trials],
        "seconds": [trial.user_attrs.get("seconds", "") for trial in trials],
        **{each.name: [trial.params.get(each.name, "") for trial in trials] for each in sweep.space},
        "error": [trial.user_attrs.get("error", "") for trial in trials],
    }


def _run_folder(sweep: Sweep, number: int) -> Any:
    return sweep.trial_folder(number) / "version_0"


def _write_best(sweep: Sweep, best: FrozenTrial, count: int) -> None:
    """Writes the config of the best trial, with the options that the sweep has set as they were."""
    config = yaml.safe_load((_run_folder(sweep, best.number) / "config.yaml").read_text(encoding="utf-8"))
    config["experiment"] = f"{sweep.folder.name}_best"
    config["test_after_fit"] = True
    config["trainer"]["devices"] = sweep.devices
    config["trainer"]["enable_progress_bar"] = None
    header = (
        f"# The best of {count} trials: {sweep.monitor} {best.value:.5g}, trial {best.number} of {sweep.folder.name}.\n"
    )
    with atomic_write(sweep.folder / "best.yaml") as temporary:
        temporary.write_text(header + yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _write_figures(sweep: Sweep, trials: Sequence[FrozenTrial]) -> tuple[list[str], str]:
    """Writes the figures; returns them as Markdown, and a remark on one that is left out."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    drawn, remark = {}, ""
    if len(completed) > 1:
        drawn["parallel_coordinates"] = draw_parallel_coordinates(trials, sweep.space, sweep.monitor, sweep.mode)
    differ = len({trial.value for trial in completed}) > 1
    if len(completed) >= FEWEST_FOR_IMPORTANCE and differ and len(sweep.space) > 1:
        importances = get_param_importances(sweep.study, evaluator=FanovaImportanceEvaluator(seed=0))
        drawn["importance"] = draw_importance(importances, sweep.monitor, len(completed))
    elif len(sweep.space) > 1:
        remark = f"No importance.png: it takes {FEWEST_FOR_IMPORTANCE} completed trials with different values."
    for name in ("parallel_coordinates", "importance"):
        path = sweep.folder / f"{name}.png"
        path.unlink(missing_ok=True)
        if name in drawn:
            drawn[name].savefig(path)
    return [f"![{name.replace('_', ' ')}]({name}.png)" for name in drawn], remark
