"""Writes the opening of README.md, a figure and two tables, from the result files in docs/results.

Usage: python -m litzoo.scripts.docs.readme_opening [--timed RUN ...]

The first table compares cross-entropy with a method on CIFAR-10 with a long tail, few labels or wrong labels, from the
files that `litzoo compare --write` has saved. For wrong labels it is the method with the highest validation accuracy,
whose labels are as wrong as those of training; the others were named before they were measured. Comparisons without a
result file are listed below the table. The second shows how long the systems of the
sources take. `--timed` takes folders of runs, each trained on an otherwise idle machine; only their seconds are quoted.
They are kept in docs/results/timed_runs.json.
"""

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from litzoo.callbacks.files import read_json, write_json
from litzoo.scripts.cli.run_folder import read_record
from litzoo.scripts.tables import markdown_table, mean_and_std, replace_between

RESULTS = Path("docs/results")
FIGURE = Path("docs/images/opening.png")
README = Path("README.md")
MISSING = "not measured yet"
ABOUT_TROUBLES = (
    "For wrong labels, the method was chosen by validation labels that are as wrong as those of training; the others "
    "were named before they were measured. Images: CIFAR-10 stored as JPEG, which costs three to four points; the "
    "original files: not measured. Each method with its command: [docs/losses.md](docs/losses.md#comparisons), "
    "[docs/pseudo_labels.md](docs/pseudo_labels.md#cifar-10)."
)
ABOUT_TIMES = (
    "Times on CIFAR-10 are those of single runs on an otherwise idle machine with two cores that have instructions for "
    "bf16; other CPUs take [several times as long](docs/performance.md#making-your-training-faster)."
)
PLAIN = "cross-entropy"


class Trouble(NamedTuple):
    """What is wrong with the training data of a comparison, and the method it is shown with; None for the best one."""

    data: str
    method: str | None = None


COMPARISONS = {
    "cifar10_long_tailed_100": Trouble("long tail, 5,000 to 50 images a class", "cifar10_long_tailed_logit_adjusted"),
    "cifar10_250": Trouble("250 labels, 49,750 images without", "cifar10_250_fixmatch"),
    "cifar10_4000": Trouble("4,000 labels, 46,000 images without", "cifar10_4000_fixmatch"),
    "cifar10_noisy_50": Trouble("50 % wrong labels, symmetric"),
    "cifar10_noisy_asymmetric_40": Trouble("40 % wrong labels, asymmetric"),
    "cifar10n_worst": Trouble("40 % wrong labels, by people (CIFAR-10N)"),
    "cifar10_noisy_50_long": Trouble("50 % wrong labels, symmetric; long, not augmented"),
    "cifar10_noisy_asymmetric_40_long": Trouble("40 % wrong labels, asymmetric; long, not augmented"),
}
"""Name of a comparison, whose first variant is trained with cross-entropy -> its trouble."""

SYSTEMS = (
    ("CIFAR-10, ResNet-18, 50 epochs", 81.34, "cifar10_resnet18", "cifar10_fast"),
    ("CIFAR-10, the same with DisturbLabel", 82.46, "cifar10_resnet18", "cifar10_fast"),
    ("Fashion-MNIST, fully connected", 89.39, None, "fashion_mnist_mlp"),
    ("MNIST, two convolutions", 98.9, None, "mnist_cnn"),
    ("MNIST, three convolutions", 99.3, None, "mnist_cnn_deep"),
    ("MNIST, 1,000 labels and pseudo-labels", 79.52, None, "mnist_1000_pseudo_online"),
)
"""System of the sources, its test accuracy in percent, the timed recipe, and the experiment beside it."""


class Compared(NamedTuple):
    """Test accuracies in percent of a comparison, one for each seed: of the first variant and of a method."""

    plain: list[float]
    helped: list[float]
    method: str
    difference: Mapping[str, Any]


def read_comparison(path: Path, method: str | None = None) -> Compared | None:
    """Reads the result file of a comparison; None if there is none, or it lacks the method or what it is chosen by.

    Args:
        path: The file.
        method: The variant to show; None for the one with the highest validation accuracy after the last epoch,
            averaged over the seeds.
    """
    content = read_json(path)
    if len(content.get("variants", {})) < 2 or (method and method not in content["variants"]):
        return None
    if method is None and "val/acc" not in content["curves"]:
        return None  # nothing to choose by
    plain, *others = content["variants"]

    def validated(variant: str) -> float:
        curves = content["curves"]["val/acc"][variant].values()
        return statistics.mean(epochs[max(epochs, key=int)] for epochs in curves)

    def tested(variant: str) -> list[float]:
        return [100 * run["metrics"]["test/acc"] for run in content["variants"][variant]["runs"]]

    method = method or max(others, key=validated)
    return Compared(tested(plain), tested(method), method, content["variants"][method]["difference"])


def measured_troubles(results: Path) -> dict[str, Compared]:
    """Returns the comparisons that have a result file."""
    found = {name: read_comparison(results / f"compare_{name}.json", COMPARISONS[name].method) for name in COMPARISONS}
    return {name: each for name, each in found.items() if each is not None}


def comparison_rows(results: Path, timed: Mapping[str, Any]) -> list[list[str]]:
    """Returns the rows of the first table, one for each comparison that was measured.

    Args:
        results: Folder of the result files.
        timed: Experiment -> its timed run.
    """
    rows = []
    for name, found in measured_troubles(results).items():
        gain = found.difference
        interval = "" if gain["low"] is None else f" ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
        rows.append(
            [
                COMPARISONS[name].data,
                f"{mean_and_std(found.plain, 1)} %",
                f"**{mean_and_std(found.helped, 1)} %**, `{found.method}`",
                f"{100 * gain['mean']:+.1f}{interval}",
                str(len(found.helped)),
                "" if name.endswith("_long") else _duration(timed.get(found.method)),
            ]
        )
    return rows


def system_rows(results: Path, timed: Mapping[str, Any]) -> list[list[str]]:
    """Returns the rows of the second table."""
    recipes = read_json(results / "source_recipes.json").get("recipes", {})
    experiments = read_json(results / "experiments.json").get("runs", {})
    rows = []
    for system, accuracy, recipe, experiment in SYSTEMS:
        theirs = "" if recipe is None else MISSING
        if recipe in recipes:
            theirs = f"{recipes[recipe]['epochs'] * recipes[recipe]['seconds_per_epoch'] / 3600:.1f} h"
        runs = experiments.get(experiment) or ([timed[experiment]] if experiment in timed else [])
        ours = [100 * run["metrics"]["test/acc"] for run in runs]
        # Runs of longer ago were timed alone, one after the other; those of CIFAR-10 were not.
        seconds = timed.get(experiment) or (runs[0] if runs and not experiment.startswith("cifar10") else None)
        rows.append(
            [
                system,
                f"{accuracy} %",
                theirs,
                f"`{experiment}`: {f'**{mean_and_std(ours, 2)} %**' if ours else MISSING}",
                _duration(seconds),
            ]
        )
    return rows


def draw(results: Path, path: Path) -> bool:
    """Draws test accuracies of cross-entropy and a method beside each other; False if nothing is measured."""
    measured = {COMPARISONS[name].data: found for name, found in measured_troubles(results).items()}
    if not measured:
        return False
    figure = Figure(figsize=(8, 0.6 + 0.7 * len(measured)), dpi=100, layout="constrained")
    axes = figure.subplots()
    for place, each in enumerate(measured.values()):
        for shift, values, colour in ((0.2, each.plain, "tab:gray"), (-0.2, each.helped, "tab:blue")):
            mean = statistics.mean(values)
            axes.barh(place - shift, mean, 0.38, color=colour)
            axes.text(mean + 0.5, place - shift, f"{mean:.1f} %", va="center", fontsize=8)
        axes.text(1, place + 0.2, each.method, va="center", color="white", fontsize=8)
        axes.text(1, place - 0.2, PLAIN, va="center", color="white", fontsize=8)
    axes.set_yticks(range(len(measured)), list(measured), fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="test accuracy (correct labels) in percent, last epoch")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return True


def opening(results: Path, figure: str | None) -> str:
    """Returns the Markdown of the opening.

    Args:
        results: Folder of the result files.
        figure: Path of the figure relative to README.md, or None.
    """
    timed = read_json(results / "timed_runs.json")
    header = ["training data", PLAIN, "with", "gain in points", "n", "training time"]
    parts = []
    if rows := comparison_rows(results, timed):
        parts.append("**CIFAR-10 with the troubles of real data, on two CPU cores.** Test accuracy, last epoch:")
        parts += (
            [f"![Test accuracies of cross-entropy and of a method against each trouble]({figure})"] if figure else []
        )
        measured = measured_troubles(results)
        unmeasured = [trouble.data for name, trouble in COMPARISONS.items() if name not in measured]
        rest = f" Not measured yet: {'; '.join(unmeasured)}." if unmeasured else ""
        parts += [markdown_table(header, rows), fill(ABOUT_TROUBLES + rest, 120)]
    parts.append("**The systems of the tutorial articles** that litzoo grew from:")
    header = ["system", "their accuracy", "their recipe, here", "litzoo", "training time"]
    parts.append(markdown_table(header, system_rows(results, timed)))
    recipes = read_json(results / "source_recipes.json")
    how = MISSING
    if recipes:
        timed_parts = {
            f"{len(each['seconds'])} epochs of {each['samples']:,} images" for each in recipes["recipes"].values()
        }
        how = f"{', '.join(sorted(timed_parts))} timed and multiplied ({recipes['environment']})"
    parts.append(fill(f"Their recipe, a per-image pipeline in float32: {how}. {ABOUT_TIMES}", 120))
    return "\n\n".join(parts)


def add_timed(runs: list[Path], results: Path) -> None:
    """Adds runs of an otherwise idle machine to timed_runs.json, under the name of their config."""
    path = results / "timed_runs.json"
    timed = read_json(path)
    for folder in runs:
        record, metrics = read_record(folder), read_json(folder / "metrics.json")
        if "test/acc" not in metrics or record.get("training_seconds") is None:
            raise ValueError(f"--timed {folder}: holds no finished and tested run")
        kept = ("seed", "training_seconds", "epochs", "precision", "hardware", "date", "torch", "git_revision")
        timed[folder.absolute().parent.name] = {name: record.get(name) for name in kept} | {
            "metrics": {"test/acc": metrics["test/acc"]}
        }
    if runs:
        write_json(path, timed)


def _duration(run: Mapping[str, Any] | None) -> str:
    return MISSING if run is None else f"{run['training_seconds'] / 60:.1f} min"


def main() -> None:
    """Writes the opening."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timed", type=Path, nargs="+", default=[], help="run folders, EXPERIMENT/version_K")
    add_timed(parser.parse_args().timed, RESULTS)
    replace_between(README, "opening", opening(RESULTS, str(FIGURE) if draw(RESULTS, FIGURE) else None))


if __name__ == "__main__":
    main()
