r"""Trains several variants of an experiment with several seeds, and compares their metrics.

    litzoo compare mnist_noisy_ce mnist_noisy_gce --seeds 0 1 2
    litzoo compare mnist_noisy_ce --name rates --common "--trainer.max_epochs 5" \
        --variant "slow: --model.optimizer.lr 0.001" --variant "fast: --model.optimizer.lr 0.01" \
        --variant "gce: mnist_noisy_gce"

Each run is a `litzoo fit` in `runs/compare_<name>/<variant>/seed_<seed>/`, in a process of its own that is forked off
one which has imported everything; `{seed}` in its options is its seed.
`--folds 5` cross-validates: each variant is trained five times, each time without another fifth of the samples that are
not for testing, and compared on that fifth, with the weights of the last epoch. The test set is not used. Differences
are paired by fold.

`--earlier results.json` takes finished runs from the results of an earlier comparison with the same variants, such as
one of other seeds that was trained on another machine: they are not trained again. Of their curves there are only those
in that file.

`--run 3` trains only the fourth of the runs (seed by seed, within a seed fold by fold, and then the variants in their
order), and shows no results: for the tasks of a job array. The same command without it then finds them finished.

Finished runs are reused and interrupted ones resumed, unless their options or configs have changed: these are trained
again, and what has changed is printed. Changes of the code are not detected: give another `--name`. Seeds of a
variant that were trained on different data are named.

The results are a table with the paired differences to the first variant and their 95 % intervals, and figures of the
differences and of the curves. The folder `runs/compare_<name>/` has them as `results.md`, `results.csv` (a row for each
run), `results.json`, `differences.png` and `curves.png`. `--write PAGE` writes them between the lines
`<!-- compare <name> -->` and `<!-- /compare <name> -->` of a page, each difference between marks
`<!-- compare <name> <variant> -->` and `<!-- / -->` within a line, all numbers to `results/compare_<name>.json` and the
figures to `images/` beside the page.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from litzoo.callbacks.files import display_path, write_json
from litzoo.datamodules.counted import counted
from litzoo.datamodules.splits.folds import Fold
from litzoo.scripts.cli.failures import report_errors
from litzoo.scripts.compare.compared_run import ComparedRun
from litzoo.scripts.compare.doubts import changed_data, other_labels, unequal_lengths
from litzoo.scripts.compare.figure import Histories, choose_curves, draw_comparison
from litzoo.scripts.compare.files import save_small, write_results
from litzoo.scripts.compare.forest import draw_differences
from litzoo.scripts.compare.on_ray import RayQueue
from litzoo.scripts.compare.options import parse
from litzoo.scripts.compare.printed import print_table
from litzoo.scripts.compare.queue import Queue, interrupt_on_termination, shared
from litzoo.scripts.compare.recorded_run import with_earlier
from litzoo.scripts.compare.results import choose_metric, collect, table, wide_table
from litzoo.scripts.tables import markdown_table, replace_between, replace_within_lines


def main() -> None:
    """Runs `litzoo compare`."""
    interrupt_on_termination()
    report_errors(lambda: compare(sys.argv[2:]))


def compare(arguments: list[str]) -> None:
    """Trains, prints the results, and writes them to a page if `--write` is given.

    Raises:
        ValueError: If an option is invalid, or another process runs the same comparison or run.
        SystemExit: If a run has failed. The other runs are finished and printed first, but nothing is written.
    """
    args = parse(arguments, str(__doc__))
    experiment = f"compare_{args.name}"
    runs = [
        ComparedRun(variant, seed, options, args.runs, experiment, fold, _way(args))
        for seed in args.seeds
        for fold in ([None] if args.folds is None else [Fold(number, args.folds) for number in range(args.folds)])
        for variant, options in args.variants.items()
    ]
    if args.earlier is not None:
        runs = with_earlier(runs, args.earlier, args.epoch)
    if args.run is not None:
        runs = [_chosen(runs, args.run)]
        with shared(args.runs / experiment) as lock:
            failed = Queue(args.epoch, args.jobs, _on_finished(args)).train(runs, runs[0].folder, [lock])
    else:
        failed = _queue(args).train(runs, args.runs / experiment)
    finished = [run for run in runs if run not in failed]
    if finished and args.run is None:
        _report(args, finished, failed, f"litzoo compare {shlex.join(_without_earlier(arguments))}")
    if failed:
        unchanged = f"; {args.write} is unchanged" if args.write else ""
        print(f"{len(failed)} of {len(runs)} runs failed{unchanged}: {'; '.join(map(str, failed))}", file=sys.stderr)
        sys.exit(1)


def _without_earlier(arguments: Sequence[str]) -> list[str]:
    """Returns the command that trains all runs itself, by which the results are reproduced."""
    words = iter(arguments)
    kept: list[str] = []
    for word in words:
        if word == "--earlier":
            next(words, None)
        elif not word.startswith("--earlier="):
            kept.append(word)
    return kept


def _way(args: argparse.Namespace) -> str:
    """Returns how the runs are trained, in words."""
    if args.run is not None:
        return "each run by a command of its own"
    if args.launcher == "ray":
        return f"by Ray, {counted(args.cpus, 'CPU core')} a run"
    return f"{args.jobs} runs at a time" if args.jobs > 1 else "one run at a time"


def _chosen(runs: Sequence[ComparedRun], number: int) -> ComparedRun:
    if not 0 <= number < len(runs):
        raise ValueError(f"--run {number}: this comparison has the runs 0 to {len(runs) - 1}")
    return runs[number]


def _queue(args: argparse.Namespace) -> Queue | RayQueue:
    if args.launcher == "ray":
        return RayQueue(args.epoch, args.cpus, args.gpus, _on_finished(args))
    return Queue(args.epoch, args.jobs, _on_finished(args))


def _on_finished(args: argparse.Namespace) -> Callable[[ComparedRun], object]:
    return lambda run: _metric(args, run)  # a metric that the runs lack is an error after the first one


def _metric(args: argparse.Namespace, run: ComparedRun) -> str:
    part = "test" if run.fold is None else "val"
    return choose_metric(args.metric, run.metrics(args.epoch), run.record().get("primary_metric"), part)


def _report(args: argparse.Namespace, runs: Sequence[ComparedRun], failed: Sequence[ComparedRun], command: str) -> None:
    """Prints, draws and writes the results; to the page only if there is one and no run has failed."""
    metric = _metric(args, runs[0])
    results = collect(sorted(runs, key=lambda run: list(args.variants).index(run.variant)), metric, args.epoch)
    histories: dict[str, dict[int, dict[str, dict[int, float]]]] = {variant: {} for variant in results}
    for run in runs:
        key = run.seed if run.fold is None else run.seed * run.fold.of + run.fold.number
        histories[run.variant][key] = run.history
    pairs = "seed" if args.folds is None else "fold"
    baseline = next(iter(args.variants))
    header, rows = table(results, metric, baseline)
    ways = ", ".join(sorted({way for run in runs for way in run.ways()}))
    caption = _caption(args, metric, results, ways)
    console = Console()
    every = [(header, rows), *(wide_table(results, prefix) for prefix in args.also)]
    for each in every:
        print_table(console, *each)
    tables = [markdown_table(*each) for each in every]
    console.print(caption, highlight=False)
    curves = choose_curves(args.curve, metric, histories)
    wrong_labels = [run.wrong_validation_labels() for run in runs]
    validation_sizes = sorted({size for run in runs if (size := run.validation_samples()) is not None})
    figures = {
        "differences": (draw_differences(results, metric, pairs, baseline), f"differences in {metric}"),
        "curves": (
            draw_comparison(histories, curves, wrong_labels, pairs, validation_sizes) if curves else None,
            f"{', '.join(curves)} by epoch",
        ),
    }
    if not curves:
        console.print("No curves: not all runs have logged val/acc or another usual metric to TensorBoard.")
    folder = args.runs / f"compare_{args.name}"
    for name in figures:
        (folder / f"{name}.png").unlink(missing_ok=True)  # that of an earlier comparison with more of them
    parts = [*tables, caption, f"```bash\n{command}\n```"]
    content = {
        "command": command,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        **{"name": args.name, "metric": metric, "epoch": args.epoch, "jobs": args.jobs, "variants": results},
        "curves": _curve_values(histories, curves),
        "wrong_validation_labels": sorted(set(wrong_labels)),
        "validation_samples": validation_sizes,
    }
    drawn = {name: (figure, text) for name, (figure, text) in figures.items() if figure is not None}
    for name, (figure, _) in drawn.items():
        figure.savefig(folder / f"{name}.png")
    images = [f"![{text}]({name}.png)" for name, (_, text) in drawn.items()]
    doubts = [each for each in (changed_data(runs), other_labels(runs, args.epoch)) if each]
    for doubt in doubts:
        console.print(doubt, style="red", highlight=False, soft_wrap=True)
    parts = [*(f"**{doubt}**" for doubt in doubts), *parts]
    missing = [f"**Not finished, and not in these results: {'; '.join(map(str, failed))}.**"] if failed else []
    write_results(folder, content | {"failed": list(map(str, failed))}, [*missing, *parts, *images])
    for name in ("results.md", "results.csv", "results.json", *(f"{name}.png" for name in drawn)):
        console.print(f"{name:15}  {display_path((folder / name).absolute())}", highlight=False, soft_wrap=True)
    if args.write and not failed:
        _write_page(args.write, args.name, content, parts, drawn)
        if len(results) > 1:
            differences = dict(zip(results, (row[3] for row in rows), strict=True))
            replace_within_lines(args.write, f"compare {args.name}", differences)


def _write_page(
    page: Path, name: str, content: Mapping[str, Any], parts: Sequence[str], figures: Mapping[str, tuple[Figure, str]]
) -> None:
    """Writes the results to a page, and numbers and figures to the folders beside it."""
    folder = page.parent
    write_json(folder / "results" / f"compare_{name}.json", content)
    images = []
    for kind, (figure, text) in figures.items():
        suffix = "" if kind == "curves" else f"_{kind}"
        path = save_small(figure, folder / "images" / f"compare_{name}{suffix}.png")
        images.append(f"![{text}]({path.relative_to(folder)})")
    replace_between(page, f"compare {name}", "\n\n".join([*parts, *images]))


def _caption(args: argparse.Namespace, metric: str, results: Mapping[str, Mapping[str, Any]], ways: str) -> str:
    """Returns a line with the epoch and seeds of the results, and hardware, precision, date and `ways` of the runs."""
    runs = [run for result in results.values() for run in result["runs"]]
    hardware, precision, torch = (
        ", ".join(sorted({str(run[name]) for run in runs})) for name in ("hardware", "precision", "torch")
    )
    epoch = "Last epoch" if metric.startswith("train/") else f"Test set, weights of the {args.epoch} epoch"
    seeds = ", ".join(map(str, args.seeds))
    pairs = "seed"
    if args.folds is not None:
        epoch, pairs = f"{args.folds}-fold cross-validation without the test set, last epoch", "fold"
    differences = f"; differences are paired by {pairs}, with Student's t intervals" if len(results) > 1 else ""
    if differences and args.folds is not None:
        differences += ", which are somewhat too narrow, since the folds' training sets overlap"
    dates = " to ".join(dict.fromkeys((min(run["date"] for run in runs), max(run["date"] for run in runs))))
    caption = f"{epoch}, seeds {seeds}{differences}. {hardware}, {precision}, torch {torch}, {ways}, {dates}."
    return " ".join(filter(None, [caption, unequal_lengths(results)]))


def _curve_values(histories: Histories, metrics: Sequence[str]) -> dict[str, Any]:
    """Returns metric -> variant -> seed -> epoch -> value."""
    return {
        metric: {
            variant: {seed: history[metric] for seed, history in seeds.items() if metric in history}
            for variant, seeds in histories.items()
        }
        for metric in metrics
    }
