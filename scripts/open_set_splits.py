r"""Trains an experiment on several random splits of its classes into known and unknown ones, and compares the scores.

    litzoo open-set-splits mnist_unknown_cnn --known 6 --splits 5

Each split is a `litzoo fit` in `runs/splits_<name>/`; the number of the split seeds the choice of the known classes.
The usual protocol (Neal et al. 2018) has five splits with six known classes. The table shows the test AUROC of the best
checkpoint for each score that the UnknownClassDetector reports. Finished splits are reused.

`--write PAGE` writes the table between the lines `<!-- splits <name> -->` and `<!-- /splits <name> -->` of a page,
where the name is `<config>_<known>_of_<classes>`, and all numbers to `results/splits_<name>.json` beside the page.
"""

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from litzoo.callbacks.files import write_json
from litzoo.scripts.cli.classes import class_at
from litzoo.scripts.cli.failures import report_errors
from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.options import check_config, check_page, join_option_values, refuse_reserved_options
from litzoo.scripts.compare.queue import Queue, interrupt_on_termination
from litzoo.scripts.tables import markdown_table, mean_and_std, replace_between

PREFIX = "test/unknown/auroc/"


def main() -> None:
    """Runs `litzoo open-set-splits`."""
    interrupt_on_termination()
    report_errors(lambda: open_set_splits(sys.argv[2:]))


def open_set_splits(arguments: list[str]) -> None:
    """Trains, prints the table, and writes it to a page if `--write` is given.

    Raises:
        ValueError: If an option is invalid, or no run reports several scores.
        SystemExit: If a run has failed. The other runs are finished first, but nothing is printed or written.
    """
    args = _make_parser().parse_args(join_option_values(arguments))
    common = shlex.split(args.common)
    refuse_reserved_options("--common", common)
    config = check_config(args.config)
    if args.splits < 2 or args.jobs < 1:
        raise ValueError(f"--splits {args.splits} --jobs {args.jobs}: takes at least 2 splits and 1 job")
    names = class_names_of(config)
    known = {split: known_classes(names, args.known, split) for split in range(args.splits)}
    name = f"{args.config.stem}_{args.known}_of_{len(names)}"
    if args.write:
        check_page(args.write, f"splits {name}")
    runs = []
    for split, classes in known.items():
        options = ["--config", str(args.config), *common, f"--data.known_classes={json.dumps(classes)}"]
        runs.append(ComparedRun(f"split_{split}", 0, options, args.runs, f"splits_{name}"))
    queue = Queue("best", args.jobs, on_finished=lambda run: None)
    if failed := queue.train(runs, args.runs / f"splits_{name}"):
        print(f"{len(failed)} of {len(runs)} splits failed: {'; '.join(map(str, failed))}", file=sys.stderr)
        sys.exit(1)
    metrics = {split: run.metrics("best") for split, run in zip(known, runs, strict=True)}
    header, rows = table(metrics)
    printed = Table(*header)
    for row in rows:
        printed.add_row(*row)
    console, warning = Console(), worse_than_chance(metrics)
    console.print(printed)
    if warning:
        console.print(warning, style="red", highlight=False, soft_wrap=True)
    if args.write:
        record = runs[0].record()
        facts = ", ".join([record["hardware"], record["precision"], f"torch {record['torch']}", record["date"]])
        command = f"litzoo open-set-splits {shlex.join(arguments)}"
        content = {
            "command": command,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "known_classes": known,
            "metrics": metrics,
        }
        write_json(args.write.parent / "results" / f"splits_{name}.json", content)
        monitored = runs[0].config()["checkpoint"]["monitor"]
        epoch = "best epoch by known validation samples" if monitored else "last epoch"
        caption = f"Seed 0, {epoch}. {facts}."
        parts = [
            markdown_table(header, rows),
            *([f"**{warning}**"] if warning else []),
            caption,
            f"```bash\n{command}\n```",
        ]
        replace_between(args.write, f"splits {name}", "\n\n".join(parts))


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "litzoo open-set-splits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "config", type=Path, help="YAML file or shipped experiment, with an UnknownClassDetector that reports scores"
    )
    parser.add_argument("--known", type=int, default=6, help="number of known classes (default: 6)")
    parser.add_argument("--splits", type=int, default=5, help="number of splits (default: 5)")
    parser.add_argument("--common", default="", metavar='"OPTIONS"', help="options of `litzoo fit` for all splits")
    parser.add_argument("--jobs", type=int, default=1, help="trainings that run in parallel (default: 1)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="Markdown page to write the table to")
    return parser


def class_names_of(config: Path) -> tuple[str, ...]:
    """Returns the names of all classes of a config's data set.

    Raises:
        ValueError: If the config reports no scores to compare, or its data module class has no `class_names`.
    """
    experiment = yaml.safe_load(config.read_text(encoding="utf-8"))
    callbacks = (experiment.get("trainer") or {}).get("callbacks") or []
    for path, options in map(_class_and_options, callbacks if isinstance(callbacks, list) else [callbacks]):
        if path.split(".")[-1] == "UnknownClassDetector" and options.get("report"):
            break
    else:
        raise ValueError(f"{config}: has no UnknownClassDetector whose `report` lists further scores")
    path, _ = _class_and_options(experiment.get("data"))
    names: tuple[str, ...] = getattr(class_at(path), "class_names", ())
    if not names:
        raise ValueError(f"{config}: the classes of {path} are unknown before its data are read; use another data set")
    return names


def _class_and_options(given: Any) -> tuple[str, dict[str, Any]]:
    """Returns class path and `init_args` of a config entry, which may be the class path alone."""
    return (str(given["class_path"]), given.get("init_args") or {}) if isinstance(given, dict) else (str(given), {})


def known_classes(names: Sequence[str], count: int, split: int) -> list[str]:
    """Draws the known classes of a split, in the order of the data set.

    Args:
        names: Names of all classes.
        count: Number of known classes.
        split: Number of the split, which is the seed: the same split has the same classes on every machine.

    Raises:
        ValueError: If fewer than two classes would be known, or none unknown.
    """
    if not 2 <= count < len(names):
        raise ValueError(f"--known {count}: of {len(names)} classes, at least 2 are known and at least 1 is unknown")
    chosen = np.random.RandomState(split).permutation(len(names))[:count]
    return [names[label] for label in sorted(chosen)]


def worse_than_chance(metrics: Mapping[int, Mapping[str, float]]) -> str | None:
    """Says which scores call unknown samples known more often than not, on which splits; None if none does.

    Args:
        metrics: Split -> metric -> value.
    """
    worse: dict[str, list[int]] = {}
    for split, found in metrics.items():
        for name, value in found.items():
            if name.startswith(PREFIX) and value < 0.5:
                worse.setdefault(name.removeprefix(PREFIX), []).append(split)
    if not worse:
        return None
    named = (f"`{name}` on split {', '.join(map(str, splits))}" for name, splits in worse.items())
    return f"Worse than chance, and not to be used here: {'; '.join(named)}."


def table(metrics: Mapping[int, Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows of the table: AUROC of each score, best mean first.

    Args:
        metrics: Split -> metric -> value. A score that could not be fitted on a split has no metric there.

    Raises:
        ValueError: If there are no scores to compare.
    """
    scores = dict.fromkeys(name for found in metrics.values() for name in found if name.startswith(PREFIX))
    if not scores:
        raise ValueError("no run reports several scores: list them in the option `report` of UnknownClassDetector")
    values = {name: [100 * found[name] for found in metrics.values() if name in found] for name in scores}
    header = ["score", f"AUROC, mean ± std of {len(metrics)} splits", *(f"split {split}" for split in metrics)]
    rows = []
    for name in sorted(scores, key=lambda name: -statistics.mean(values[name])):
        mean = mean_and_std(values[name], 2)
        if len(values[name]) < len(metrics):
            mean += f" (of {len(values[name])})"
        cells = [f"{100 * found[name]:.2f}" if name in found else "" for found in metrics.values()]
        rows.append([f"`{name.removeprefix(PREFIX)}`", mean, *cells])
    return header, rows
