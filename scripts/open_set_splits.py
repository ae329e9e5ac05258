r"""Trains an experiment on several random splits of its classes into known and unknown ones, and compares the scores.

    litzoo open-set-splits configs/mnist_unknown_cnn.yaml --known 6 --splits 5

Every split is a `litzoo fit` of its own, with the known classes drawn by the number of the split: the usual protocol
(Neal et al. 2018) has five splits with six known classes. What is finished is not trained again. The AUROC is that of
the best checkpoint's test. `--write docs/unknown_classes.md` puts the table between the lines
`<!-- splits <name> -->` and `<!-- /splits <name> -->` of that page.
"""

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from litzoo.callbacks.files import write_json
from litzoo.scripts.cli.failures import tell_errors
from litzoo.scripts.cli.options import class_at
from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.options import check_config, check_page, joined, require_free
from litzoo.scripts.compare.queue import Queue, end_as_ctrl_c
from litzoo.scripts.tables import markdown_table, replace_between

PREFIX = "test/unknown/auroc/"


def known_classes(names: Sequence[str], count: int, split: int) -> list[str]:
    """Draws the classes to learn, in the order that they have in the data set.

    Args:
        names: Of all classes.
        count: How many to learn.
        split: Number of the split; the same one draws the same classes everywhere and always.

    Raises:
        ValueError: If less than two classes are to be learned, or none is left to be unknown.
    """
    if not 2 <= count < len(names):
        raise ValueError(f"--known {count}: of {len(names)} classes, at least 2 are learned and at least 1 is not")
    chosen = np.random.RandomState(split).permutation(len(names))[:count]
    return [names[label] for label in sorted(chosen)]


def open_set_splits(arguments: list[str]) -> None:
    """Trains, prints, and writes if asked.

    Raises:
        ValueError: If something asked for is wrong, or no run reports several scores.
        SystemExit: If a run has failed; the others are finished by then, but nothing is printed or written.
    """
    parser = argparse.ArgumentParser(
        "litzoo open-set-splits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="an experiment with an UnknownClassDetector that reports scores")
    parser.add_argument("--known", type=int, default=6, help="classes to learn (default: 6)")
    parser.add_argument("--splits", type=int, default=5, help="number of splits (default: 5)")
    parser.add_argument("--common", default="", metavar='"OPTIONS"', help="of `litzoo fit`, for all splits")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time (default: 1)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the marks of a page")
    asked = parser.parse_args(joined(arguments))
    common = shlex.split(asked.common)
    require_free("--common", common)
    asked.config = check_config(asked.config)
    if asked.splits < 2 or asked.jobs < 1:
        raise ValueError(f"--splits {asked.splits} --jobs {asked.jobs}: at least 2 splits and 1 job")
    names = class_names_of(asked.config)
    drawn = {split: known_classes(names, asked.known, split) for split in range(asked.splits)}
    name = f"{asked.config.stem}_{asked.known}_of_{len(names)}"
    if asked.write:
        check_page(asked.write, f"splits {name}")
    runs = []
    for split, known in drawn.items():
        options = ["--config", str(asked.config), *common, f"--data.known_classes={json.dumps(known)}"]
        runs.append(ComparedRun(f"split_{split}", 0, options, asked.runs, f"splits_{name}"))
    if failed := Queue("best", asked.jobs, finished=lambda run: None).train(runs, asked.runs / f"splits_{name}"):
        print(f"{len(failed)} of {len(runs)} splits failed: {'; '.join(map(str, failed))}", file=sys.stderr)
        sys.exit(1)
    found = {split: run.metrics("best") for split, run in zip(drawn, runs, strict=True)}
    header, rows = table(found)
    printed = Table(*header)
    for row in rows:
        printed.add_row(*row)
    Console().print(printed)
    if asked.write:
        record = runs[0].record()
        facts = ", ".join([record["hardware"], record["precision"], f"torch {record['torch']}", record["date"]])
        result = {
            "command": f"litzoo open-set-splits {shlex.join(arguments)}",
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "known_classes": drawn,
            "metrics": found,
        }
        write_json(asked.write.parent / "results" / f"splits_{name}.json", result)
        text = [markdown_table(header, rows), f"Seed 0, best epoch by known validation samples. {facts}."]
        replace_between(asked.write, f"splits {name}", "\n\n".join([*text, f"```bash\n{result['command']}\n```"]))


def class_names_of(config: Path) -> tuple[str, ...]:
    """Returns the names of all classes of an experiment's data set.

    Raises:
        ValueError: If it reports no scores that could be compared, or does not tell its classes before it is read.
    """
    experiment = yaml.safe_load(config.read_text(encoding="utf-8"))
    callbacks = (experiment.get("trainer") or {}).get("callbacks") or []
    for path, options in map(_class_and_options, callbacks if isinstance(callbacks, list) else [callbacks]):
        if path.split(".")[-1] == "UnknownClassDetector" and options.get("report"):
            break
    else:
        raise ValueError(f"{config}: has no UnknownClassDetector that reports several scores")
    path, _ = _class_and_options(experiment.get("data"))
    names: tuple[str, ...] = getattr(class_at(path), "class_names", ())
    if not names:
        raise ValueError(f"{config}: {path} does not tell its classes before it is read")
    return names


def _class_and_options(given: Any) -> tuple[str, dict[str, Any]]:
    """Returns the two of what a config may write as a class path alone, or with options."""
    return (str(given["class_path"]), given.get("init_args") or {}) if isinstance(given, dict) else (str(given), {})


def table(found: dict[int, dict[str, float]]) -> tuple[list[str], list[list[str]]]:
    """Writes header and rows, a score each, the best one first.

    Raises:
        ValueError: If there is nothing to compare.
    """
    scores = dict.fromkeys(name for metrics in found.values() for name in metrics if name.startswith(PREFIX))
    if not scores:
        raise ValueError("no run reports several scores: list them in UnknownClassDetector's report")
    # One that could not be fitted in a split was left out there.
    values = {name: [100 * metrics[name] for metrics in found.values() if name in metrics] for name in scores}
    best_first = sorted(scores, key=lambda name: -statistics.mean(values[name]))
    header = ["score", f"AUROC, mean ± std of {len(found)} splits", *(f"split {split}" for split in found)]
    rows: list[list[Any]] = []
    for name in best_first:
        spread = f"{statistics.mean(values[name]):.2f}"
        if len(values[name]) > 1:
            spread += f" ± {statistics.stdev(values[name]):.2f}"
        if len(values[name]) < len(found):
            spread += f" (of {len(values[name])})"
        cells = [f"{100 * metrics[name]:.2f}" if name in metrics else "" for metrics in found.values()]
        rows.append([f"`{name.removeprefix(PREFIX)}`", spread, *cells])
    return header, rows


def main() -> None:
    """Compares; a request to end stops the runs as Ctrl-C does."""
    end_as_ctrl_c()
    tell_errors(lambda: open_set_splits(sys.argv[2:]))
