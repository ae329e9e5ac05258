r"""Measures how well the label errors of people are found, and what correcting them brings: CIFAR-10N's worst labels.

Usage: python -m litzoo.scripts.benchmarks.wrong_labels.human_errors [--seeds 0] [--common "OPTIONS"] [--write]

All of it with the real commands: `litzoo fit` with NoisyLabelFinder, `litzoo audit` with three folds, whose held-out
probabilities cleanlab gets too, and `litzoo fit` with `data.corrections` of what the finder proposes. All methods are
compared on the training samples. Finished trainings in `runs/human_errors/` are reused. Needs CIFAR-10 and CIFAR-10N in
LITZOO_DATA_DIR, and `pip install cleanlab`; --write writes docs/label_issues.md and docs/results.
"""

import argparse
import csv
import shlex
import statistics
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from litzoo.callbacks.files import read_json, write_csv
from litzoo.datamodules import CIFAR10DataModule
from litzoo.scripts.audit.command import audit
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.benchmarks.wrong_labels.evaluation import quality
from litzoo.scripts.cli.main import run
from litzoo.scripts.tables import markdown_table, mean_and_std

NAME, CONFIG, RUNS = "benchmark_human_errors", "cifar10n_worst_ce", Path("runs/human_errors")
DOCUMENT = Path("docs/label_issues.md")
FOLDS, CONFIDENT = 3, 0.6
Row = dict[str, str]

STATES: dict[str, tuple[str, Callable[[Row], Row]]] = {
    "noisy": ("labels as people gave them", lambda row: row),
    "relabelled": ("flagged ones relabelled", lambda row: row),
    "confident": (
        f"relabelled where the suggestion has above {CONFIDENT}, other flagged ones dropped",
        lambda row: row if float(row["probability"]) > CONFIDENT else row | {"action": "drop", "label": ""},
    ),
    "dropped": ("flagged ones dropped", lambda row: row | {"action": "drop", "label": ""}),
    "clean": ("all labels right", lambda row: row),
}
"""What is trained on -> its name in the table, and how a proposed correction is changed for it."""


def fit(folder: Path, words: Sequence[str]) -> Path:
    """Trains and tests, unless that is done; returns the run folder."""
    if not (done := sorted(folder.rglob("metrics.json"))):
        run(["fit", f"--config={CONFIG}", *words, f"--trainer.default_root_dir={folder}"])
        done = sorted(folder.rglob("metrics.json"))
    return done[-1].parent


def rows_of(path: Path) -> list[Row]:
    """Returns the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def corrections_of(suspects: list[Row], change: Callable[[Row], Row]) -> list[Row]:
    """Returns the flagged samples with what is done to them as `action` and `label`."""
    flagged = [row for row in suspects if row["flagged"] == "True"]
    return [change(row | {"action": "relabel", "label": row["suggested"]}) for row in flagged]


def wrong_after(suspects: list[Row], change: Callable[[Row], Row]) -> float:
    """Returns the fraction of labels that are wrong when the flagged samples are corrected."""
    plain = [row | {"action": "keep", "label": row["given"]} for row in suspects if row["flagged"] != "True"]
    kept = [row for row in plain + corrections_of(suspects, change) if row["action"] != "drop"]
    return statistics.mean(row["label"] != row["true"] for row in kept)


def write_corrections(path: Path, suspects: list[Row], change: Callable[[Row], Row]) -> Path:
    """Writes a file of corrections of the flagged samples."""
    changed = corrections_of(suspects, change)
    write_csv(path, {name: [row[name] for row in changed] for name in ("index", "given", "action", "label")})
    return path


def measure(seed: int, common: Sequence[str]) -> dict[str, Any]:
    """Returns how well the errors are found, and test accuracies, of one seed."""
    folder = RUNS / f"seed_{seed}"
    words = [f"--seed_everything={seed}", *common]
    noisy = fit(folder / "noisy", [*words, "--trainer.callbacks+=NoisyLabelFinder"])
    suspects = rows_of(noisy / "suspects.csv")
    audited = audit([f"--config={CONFIG}", *words, f"--folds={FOLDS}", f"--output={folder / 'audit'}"])
    judged = [row for row in rows_of(audited / "suspects.csv") if row["part"] == "train"]
    methods = {"`NoisyLabelFinder`": ranked(suspects), "`litzoo audit`": ranked(judged)}
    wrong = sum(row["given"] != row["true"] for row in suspects)
    accuracies, left = {"noisy": accuracy(noisy)}, {"noisy": wrong / len(suspects), "clean": 0.0}
    for state, (_, change) in list(STATES.items())[1:]:
        options = ["--data.label_noise=null", "--data.noisy_val=false"]
        if state != "clean":
            corrections = write_corrections(folder / f"{state}.csv", suspects, change)
            options, left[state] = [f"--data.corrections={corrections}"], wrong_after(suspects, change)
        accuracies[state] = accuracy(fit(folder / state, [*words, *options]))
    methods |= by_cleanlab(audited, judged)
    return {"samples": len(suspects), "wrong": wrong, "methods": methods, "accuracies": accuracies, "left": left}


def ranked(rows: list[Row]) -> dict[str, float]:
    """Returns the quality of a ranking in `suspects.csv`, the most suspicious label first."""
    wrong = np.array([row["given"] != row["true"] for row in rows])
    return quality(wrong, -np.arange(len(rows)), np.array([row["flagged"] == "True" for row in rows]))


def accuracy(run_folder: Path) -> float:
    """Returns the test accuracy of a run."""
    return float(read_json(run_folder / "metrics.json")["test/acc"])


def by_cleanlab(audited: Path, judged: list[Row]) -> dict[str, dict[str, float]]:
    """Returns what cleanlab finds with the held-out probabilities of the audit's folds."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    folds = [torch.load(audited / f"fold_{number}.pt", weights_only=True) for number in range(FOLDS)]
    position = torch.cat([fold["position"] for fold in folds]).numpy()
    probabilities = torch.cat([fold["probabilities"] for fold in folds]).double().numpy()
    row_of = np.full(position.max() + 1, -1)
    row_of[position] = np.arange(len(position))
    probabilities = probabilities[row_of[[int(row["index"]) for row in judged]]]  # training samples come first
    names = list(CIFAR10DataModule.class_names)
    given = np.array([names.index(row["given"]) for row in judged])
    wrong = np.array([row["given"] != row["true"] for row in judged])
    found = {}
    for method in ("self_confidence", "normalized_margin"):
        score = -get_label_quality_scores(given, probabilities, method=method)
        issues = find_label_issues(given, probabilities) if method == "self_confidence" else None
        found[f"cleanlab {method}"] = quality(wrong, score, issues)
    return found


def tables(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    seeds = list(result["seeds"].values())
    rows = []
    for method in seeds[0]["methods"]:
        found = [each["methods"][method] for each in seeds]
        flagged, f1, *ranks = (
            [each[name] for each in found if name in each] for name in ("flagged", "f1", "ap", "precision")
        )
        cut = [f"{statistics.mean(flagged):,.0f}", mean_and_std(f1, 3)] if flagged else ["", ""]
        rows.append([method, *cut, *(mean_and_std(values, 3) for values in ranks)])
    mean = {state: statistics.mean(each["accuracies"][state] for each in seeds) for state in STATES}
    left = {state: statistics.mean(each["left"][state] for each in seeds) for state in STATES}
    cost = mean["clean"] - mean["noisy"]
    again = [
        [
            title,
            f"{left[state]:.1%}",
            f"{100 * mean[state]:.2f} %",
            f"{(mean[state] - mean['noisy']) / cost:.0%}" if cost else "",
        ]
        for state, (title, _) in STATES.items()
    ]
    wrong = statistics.mean(each["wrong"] for each in seeds)
    options = f", `{result['common']}`" if result["common"] else ""
    return "\n\n".join(
        [
            markdown_table(["method", "flagged", "F1", "average precision", "precision at the true number"], rows),
            f"{wrong:,.0f} of {seeds[0]['samples']:,} training labels are wrong. The finder has one training; audit "
            f"and cleanlab have the same {FOLDS} folds, which hold the validation and test samples too.",
            "Training again with what the finder proposes, tested on right labels:",
            markdown_table(["trained on", "of them wrong", "test accuracy", "recovered"], again),
            f"`{CONFIG}`{options}, last epoch, seed {', '.join(result['seeds'])}. {format_environment(result)}.",
        ]
    )


def main() -> None:
    """Measures, prints, and with `--write` publishes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds (default: 0)")
    parser.add_argument("--common", default="", help="options of all trainings, in one word")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT} and its results")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    measured = {str(seed): measure(seed, shlex.split(arguments.common)) for seed in arguments.seeds}
    result = {**environment(), "common": arguments.common, "seeds": measured}
    print(tables(result))
    if arguments.write:
        publish(NAME, result, tables(result), DOCUMENT)


if __name__ == "__main__":
    main()
