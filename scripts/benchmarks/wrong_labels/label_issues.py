"""Measures how well wrong labels are found: NoisyLabelFinder, litzoo audit and cleanlab, side by side.

Usage: python -m litzoo.scripts.benchmarks.wrong_labels.label_issues [--seeds 0 1 2] [--cache FOLDER] [--write]

Digits, MNIST and Fashion-MNIST (6,000 samples each) with clean labels, 5 and 20 % symmetric and 40 % asymmetric noise.
The finder has one training; audit and cleanlab have the same three held-out folds, with the same network and epochs. At
last, models are trained on the labels as corrected by the finder, and without the flagged samples. Needs `pip install
cleanlab`. Finished trainings are kept in the cache; --write writes docs/label_issues.md and docs/results.
"""

import argparse
import statistics
import warnings
from pathlib import Path
from typing import Any

from litzoo.callbacks.label_issues.ranking import METHODS
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.benchmarks.wrong_labels.evaluation import evaluate
from litzoo.scripts.benchmarks.wrong_labels.trainings import NOISE, cell, loop
from litzoo.scripts.tables import markdown_table, mean_and_std

DOCUMENT = Path("docs/label_issues.md")
NAME = "benchmark_label_issues"
TITLES = {"clean": "clean", "sym5": "symmetric 5 %", "sym20": "symmetric 20 %", "asym40": "asymmetric 40 %"}
DATA = {"digits": "digits", "mnist": "MNIST", "fashion": "Fashion-MNIST"}
LOOP = (("fashion", "sym20"), ("fashion", "asym40"))
"""Cells in which models are trained again on corrected labels."""


def measure(cache: Path, seeds: list[int]) -> dict[str, Any]:
    """Measures all cells."""
    cells = {
        f"{data} {noise}": [evaluate(cell(cache, data, noise, seed)) for seed in seeds]
        for data in DATA
        for noise in NOISE
    }
    again = {f"{data} {noise}": [loop(cache, data, noise, seed) for seed in seeds] for data, noise in LOOP}
    return {"seeds": seeds, "cells": cells, "loop": again}


def tables(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    own = {"finder posterior": "`NoisyLabelFinder`", "audit": "`litzoo audit`", "cleanlab self_confidence": "cleanlab"}
    rankings = [*(f"finder {method}" for method in METHODS), "audit", *(f"cleanlab {m}" for m in ("self_confidence", "normalized_margin"))]  # fmt: skip  # noqa: E501
    cuts, averages, errors = [], [], []
    for name, cells in result["cells"].items():
        data, noise = name.split()
        title = f"{DATA[data]}, {TITLES[noise]}"
        row = [title, f"{statistics.mean(each['wrong'] for each in cells):,.0f} of {cells[0]['samples']:,}"]
        for method in own:
            values = [each["methods"][method] for each in cells]
            flagged = f"{statistics.mean(value['flagged'] for value in values):,.0f}"
            row.append(flagged if noise == "clean" else f"{flagged}; {mean_and_std([v['f1'] for v in values], 3)}")
        cuts.append(row)
        found = [each["matrix_errors"] for each in cells]
        errors.append([title, *(f"{statistics.mean(each[name] for each in found):.2f}" for name in found[0])])
        if noise != "clean":
            averages.append(
                [
                    title,
                    *(f"{statistics.mean(each['methods'][method]['ap'] for each in cells):.3f}" for method in rankings),
                ]
            )
    seconds = [each["seconds"] for cells in result["cells"].values() for each in cells]
    share = statistics.median(each["finder"] / each["training"] for each in seconds)
    folds = statistics.median(each["folds"] / each["training"] for each in seconds)
    loops = []
    for name, each in result["loop"].items():
        data, noise = name.split()
        states = ("noisy", "corrected", "dropped", "clean")
        means = {state: statistics.mean(run[state] for run in each) for state in states}
        recovered = (means["corrected"] - means["noisy"]) / (means["clean"] - means["noisy"])
        loops.append(
            [f"{DATA[data]}, {TITLES[noise]}", *(f"{100 * means[state]:.2f} %" for state in states), f"{recovered:.0%}"]
        )
    facts = f"Seeds {', '.join(map(str, result['seeds']))} (data and training). {format_environment(result)}."
    return "\n\n".join(
        [
            "Labels flagged, and F1 of them (mean ± std over the seeds):",
            markdown_table(["data, noise", "wrong", *own.values()], cuts),
            "Average precision of the rankings (mean):",
            markdown_table(["data, noise", *rankings], averages),
            "Error of the estimated noise matrix: sum of the absolute errors of a row, mean over the rows and seeds. "
            "`ForwardCorrection` estimates after two epochs; *predicted classes* counts what it predicts:",
            markdown_table(["data, noise", *next(iter(result["cells"].values()))[0]["matrix_errors"]], errors),
            "Test accuracy after training again, on the clean test set (mean). *Recovered* is the part of the loss by "
            "the noise that the correction by suggested labels brings back:",
            markdown_table(["data, noise", "noisy", "corrected", "dropped", "clean", "recovered"], loops),
            f"The finder takes {share:.1%} of the time of a training; the three folds of audit and cleanlab take "
            f"{folds:.1f} times that of a training (medians). {facts}",
        ]
    )


def main() -> None:
    """Measures, prints, and with `--write` publishes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds (default: 0 1 2)")
    parser.add_argument("--cache", type=Path, default=Path("runs/label_issues"), help="folder of finished trainings")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT} and its results")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    result = {**environment(), **measure(arguments.cache, arguments.seeds)}
    print(tables(result))
    if arguments.write:
        publish(NAME, result, tables(result), DOCUMENT)


if __name__ == "__main__":
    main()
