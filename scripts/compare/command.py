r"""Compares experiments: trains each variant with each seed, prints a table with intervals, draws the curves.

    litzoo compare configs/mnist_noisy_ce.yaml configs/mnist_noisy_gce.yaml --seeds 0 1 2
    litzoo compare configs/mnist_noisy_ce.yaml --name rates --common "--trainer.max_epochs 5" \
        --variant "slow: --model.optimizer.lr 0.001" --variant "fast: --model.optimizer.lr 0.01" \
        --variant "gce: configs/mnist_noisy_gce.yaml"

`{seed}` in the options of a variant is the seed of the run.

Every run is a `litzoo fit` of its own in `runs/compare_<name>/<variant>/seed_<seed>/`; what is finished is not trained
again, and what was interrupted goes on from its last epoch, unless its options or its config have changed. (A change of
the code is not seen: give another `--name`.) The numbers are the test's, with the weights of the last epoch or of the
one that validated best (`--epoch`), or with `--metric train/...` those of the training's last epoch.

`--write docs/experiments.md` puts the table between the lines `<!-- compare <name> -->` and `<!-- /compare <name> -->`
of that page, each difference between `<!-- compare <name> <variant> -->` and `<!-- / -->` within a line of it, all
numbers into `results/compare_<name>.json` and the curves into `images/` beside it.
"""

import argparse
import io
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from rich.table import Table

from litzoo.callbacks.files import shown, write_json
from litzoo.scripts.cli.failures import tell_errors
from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.figure import choose_curves, draw_curves
from litzoo.scripts.compare.options import parse
from litzoo.scripts.compare.queue import Queue, end_as_ctrl_c
from litzoo.scripts.compare.results import choose_metric, collect, table, wide_table
from litzoo.scripts.tables import markdown_table, replace_between, replace_within_lines


def compare(arguments: list[str]) -> None:
    """Trains, prints, draws, and writes if asked.

    Raises:
        ValueError: If something asked for is wrong, or another process makes the same comparison.
        SystemExit: If a run has failed; the others are finished and shown by then, but nothing is written.
    """
    asked = parse(arguments, str(__doc__))
    experiment = f"compare_{asked.name}"
    runs = [
        ComparedRun(variant, seed, options, asked.runs, experiment)
        for seed in asked.seeds
        for variant, options in asked.variants.items()
    ]
    queue = Queue(asked.epoch, asked.jobs, finished=lambda run: choose_metric(asked.metric, run.metrics(asked.epoch)))
    failed = queue.train(runs, asked.runs / experiment)
    finished = [run for run in runs if run not in failed]
    if finished:
        _report(asked, finished, None if failed else f"litzoo compare {shlex.join(arguments)}")
    if failed:
        unwritten = f"; {asked.write} is left as it was" if asked.write else ""
        print(f"{len(failed)} of {len(runs)} runs failed{unwritten}: {'; '.join(map(str, failed))}", file=sys.stderr)
        sys.exit(1)


def _report(asked: argparse.Namespace, runs: Sequence[ComparedRun], command: str | None) -> None:
    """Prints and draws; writes too if asked and given the command that did it all."""
    metric = choose_metric(asked.metric, runs[0].metrics(asked.epoch))
    results = collect(sorted(runs, key=lambda run: list(asked.variants).index(run.variant)), metric, asked.epoch)
    histories: dict[str, dict[int, dict[str, dict[int, float]]]] = {variant: {} for variant in results}
    for run in runs:
        histories[run.variant][run.seed] = run.history
    header, rows = table(results, metric)
    printed = Table()
    for number, name in enumerate(header):
        printed.add_column(name, no_wrap=not number, overflow="fold")  # the names of the variants are not cut off
    for row in rows:
        printed.add_row(*row)
    text = caption(asked, metric, results)
    console = Console()
    console.print(printed)
    tables = [markdown_table(header, rows)]
    for prefix in asked.also:
        tables.append(markdown_table(*wide_table(results, prefix)))
        console.print(tables[-1], highlight=False, soft_wrap=True)
    console.print(text, highlight=False)
    names = choose_curves(asked.curve, metric, histories)
    figure = draw_curves(histories, names)
    image = asked.runs / f"compare_{asked.name}" / "curves.png"
    figure.savefig(image)
    print(f"curves       {shown(image.absolute())}")
    if asked.write and command:
        result = {"name": asked.name, "metric": metric, "epoch": asked.epoch, "jobs": asked.jobs, "variants": results}
        curves = {
            name: {
                variant: {seed: each[name] for seed, each in seeds.items() if name in each}
                for variant, seeds in histories.items()
            }
            for name in names
        }
        asked_at = {"command": command, "date": datetime.now(timezone.utc).strftime("%Y-%m-%d")}
        beside = asked.write.parent
        write_json(beside / "results" / f"compare_{asked.name}.json", {**asked_at, **result, "curves": curves})
        drawn = _save_small(figure, beside / "images" / f"compare_{asked.name}.png").relative_to(beside)
        parts = [*tables, text, f"```bash\n{command}\n```", f"![{', '.join(names)} by epoch]({drawn})"]
        replace_between(asked.write, f"compare {asked.name}", "\n\n".join(parts))
        if len(results) > 1:
            differences = dict(zip(results, (row[3] for row in rows), strict=True))
            replace_within_lines(asked.write, f"compare {asked.name}", differences)


def caption(asked: argparse.Namespace, metric: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Says what the table shows, and on what, how and when it was measured."""
    runs = [run for result in results.values() for run in result["runs"]]
    facts = [", ".join(sorted({str(run[name]) for run in runs})) for name in ("hardware", "precision", "torch")]
    together = f"{asked.jobs} runs at a time" if asked.jobs > 1 else "one run at a time"
    compared = "; differences are taken seed by seed, their interval is Student's" if len(results) > 1 else ""
    measured = ", ".join([facts[0], facts[1], f"torch {facts[2]}", together, max(run["date"] for run in runs)])
    seeds = ", ".join(map(str, asked.seeds))
    what = "Last epoch" if metric.startswith("train/") else f"Test set, weights of the {asked.epoch} epoch"
    return f"{what}, seeds {seeds}{compared}. {measured}."


def _save_small(figure: Figure, path: Path) -> Path:
    drawn = io.BytesIO()
    figure.savefig(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A quarter of the size; the colours are chosen by their spread, so that a thin line keeps its own.
    few_colours = Image.open(drawn).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few_colours.save(path, optimize=True)
    return path


def main() -> None:
    """Compares; a request to end stops the runs as Ctrl-C does."""
    end_as_ctrl_c()
    tell_errors(lambda: compare(sys.argv[2:]))
