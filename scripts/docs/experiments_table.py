"""Collects finished runs into docs/results/experiments.json and writes the tables of the docs from it.

They are in docs/experiments.md, docs/segmentation.md and, of systems that a source has a figure of, README.md.

Usage: python -m litzoo.scripts.docs.experiments_table [--runs runs]

Every number comes from a run's `metrics.json` and `run.json`; the linear baselines are fitted here, on the same split.
"""

import argparse
import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from sklearn.linear_model import LinearRegression

from litzoo.callbacks.files import read_json
from litzoo.datamodules import TableDataModule
from litzoo.scripts.cli.options import class_at
from litzoo.scripts.cli.run_folder import read_record
from litzoo.scripts.docs.segmentation_table import write_segmentation_table
from litzoo.scripts.tables import markdown_table, mean_interval, replace_between

RESULTS = Path("docs/results/experiments.json")
DOCUMENT = Path("docs/experiments.md")
README = Path("README.md")

COMMAND = re.compile(
    r"(litzoo|__main__\.py|python -m litzoo) fit --config configs/(?P<name>\w+)\.yaml( --trainer\.precision [\w-]+)?"
    r"( --trainer\.callbacks\.teacher \S+)? --seed_everything \d+"
    r"( --trainer\.precision [\w-]+)?(?P<place> --experiment compare_\S+ --trainer\.default_root_dir \S+)?"
    r"( --trainer\.enable_progress_bar false)?( --ckpt_path \S+)?"
)
"""The printed command, as a user gives it and as `litzoo.scripts.compare.command` does."""

SOURCE = {
    "mnist_softmax_mse": "86.88 %",
    "mnist_cnn": "98.9 %",
    "mnist_cnn_deep": "99.3 %",
    "fashion_mnist_mlp": "89.39 %",
    "cifar10_resnet18": "81.34 % (50 epochs)",
    "cifar10_disturb_label": "82.46 % (50 epochs)",
    "mnist_noisy_coteaching": "91.7 % (Han et al. 2018)",
    "mnist_1000_supervised": "69.65 %",
    "mnist_1000_pseudo_online": "79.52 %",
    "mnist_1000_pseudo_frozen": "78.48 %",
    "cifar10_4000_fixmatch": "95.7 % (USB, WRN-28-2)",
    "cifar10_4000_freematch": "95.9 % (USB, WRN-28-2)",
}
"""Test accuracies that the source articles print for the same system, or a paper that is named."""

NEEDS_GPU = (
    *("cifar10_resnet18", "cifar10_disturb_label", "cifar10_unknown", "cifar10_autoaugment"),
    *("cifar10_vgg16_features", "cifar10_vgg16_finetune"),
    *(f"cifar10_4000_{method}" for method in ("supervised", "fixmatch", "freematch")),
    "penn_fudan_maskrcnn",
)
"""Experiments that are meant for a GPU; until somebody runs them on one, there is no figure."""

MEASURED = (("test/acc", 100, " %"), ("test/mask_map_50", 100, " % mask AP50"), ("test/rmse", 1, " RMSE"))
"""What a row of the table shows, the first that there is: the metric, what it is multiplied by, and the unit."""

SHORT = ("cifar10_resnet18_short",)
"""Runs that are no experiment of their own: one that needs a GPU, cut short for a CPU to show that it learns."""


def collect(runs: Path) -> dict[str, list[dict[str, Any]]]:
    """Reads the finished runs of the printed command: experiment -> its runs, the newest of each seed.

    Those of comparisons count too, unless the experiment was run by itself. A run with other options than the seed and
    the precision, be it in an earlier part, is another experiment.
    """
    alone: dict[str, dict[int, dict[str, Any]]] = {}
    compared: dict[str, dict[int, dict[str, Any]]] = {}
    folders = [path.parent for path in runs.glob("**/version_*/run.json") if path.parent.name[8:].isdecimal()]
    found_in = [(read_record(folder), folder) for folder in folders]
    for run, folder in sorted(found_in, key=lambda found: (found[0].get("date", ""), int(found[1].name[8:]))):
        command = _printed_command(run)
        name = command["name"] if command else folder.parent.name
        if not (command or name in SHORT):
            continue
        metrics = read_json(folder / "metrics.json")
        tests = {name: value for name, value in metrics.items() if name.startswith("test/") and name.count("/") == 1}
        if tests:
            found = compared if command and command["place"] else alone
            found.setdefault(name, {})[run["seed"]] = {**run, "metrics": tests}
    return {name: [by_seed[seed] for seed in sorted(by_seed)] for name, by_seed in (compared | alone).items()}


def _printed_command(run: dict[str, Any]) -> re.Match[str] | None:
    """Returns the printed command that a run was trained with, in all its parts."""
    parts = [COMMAND.fullmatch(part.get("command") or "") for part in (run, *run.get("earlier", []))]
    return parts[0] if all(parts) else None


def linear_rmse(data: dict[str, Any], part: str = "test_set") -> float:
    """Fits scikit-learn's linear regression on a config's training rows; its error on the rows of a part.

    Args:
        data: The `data` section of a config, of a table.
        part: `test_set` or `val_set`.
    """
    datamodule = class_at(data["class_path"])(**data["init_args"])
    assert isinstance(datamodule, TableDataModule)
    datamodule.setup("fit")
    train, held_back = datamodule.train_set, getattr(datamodule, part)
    assert train is not None
    model = LinearRegression().fit(train.inputs[train.indices], train.targets[train.indices])
    errors = model.predict(held_back.inputs[held_back.indices]) - held_back.targets[held_back.indices].numpy()
    return float((errors**2).mean() ** 0.5)


def interval(values: Sequence[float], digits: int) -> str:
    """Writes the 95 % interval of the mean over the seeds, if there is one."""
    return " to ".join(f"{end:,.{digits}f}" for end in mean_interval(values) or ())


def row(name: str, runs: list[dict[str, Any]], baseline: float | None) -> list[str]:
    """Writes one experiment's line of the table."""
    if not runs:
        missing = "not measured (needs a GPU)" if name in NEEDS_GPU else "not measured"
        return [f"`{name}`", SOURCE.get(name, ""), missing, "", "", "", "", "", ""]
    metric, scale, unit = next(each for each in MEASURED if each[0] in runs[0]["metrics"])
    values = [scale * run["metrics"][metric] for run in runs]
    digits = 2 if max(values) < 1000 else 0
    spread = f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else ""
    result = f"{statistics.mean(values):,.{digits}f}{spread}{unit}"
    reference = SOURCE.get(name, "") if baseline is None else f"{baseline:,.{digits}f} RMSE (linear regression)"
    seconds = [run["training_seconds"] for run in runs if run["training_seconds"] is not None]
    duration = f", {statistics.mean(seconds):,.0f} s" if seconds else ""
    return [
        f"`{name}`",
        reference,
        f"**{result}**",
        interval(values, digits),
        f"{len(runs)} ({', '.join(str(run['seed']) for run in runs)})",
        f"{statistics.median(run['epochs'] for run in runs):.0f}{duration}",
        ", ".join(sorted({run["precision"] for run in runs})),
        ", ".join(sorted({run["hardware"] for run in runs})),
        max(run["date"] for run in runs),
    ]


def beside_source(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Writes the shorter lines of README.md: what was measured here of systems that a source prints a figure of.

    Args:
        rows: Lines of the long table, see `row`.
    """
    shown = []
    for name, reference, result, _, seeds, effort, _, hardware, _ in rows:
        experiment = name.strip("`")
        if experiment in SOURCE and seeds:
            linked = f"[{name}](configs/{experiment}.yaml)"
            shown.append([linked, reference, result, seeds.split()[0], effort, hardware])
    return shown


def main() -> None:
    """Collects, keeps and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"runs": {}, "linear_rmse": {}}
    known["runs"].update(collect(parser.parse_args().runs))
    configs = sorted(Path("configs").glob("*.yaml"))
    for config in configs:
        if config.stem in ("diabetes_regressor", "california_housing"):
            known["linear_rmse"][config.stem] = linear_rmse(yaml.safe_load(config.read_text(encoding="utf-8"))["data"])
    known["runs"] = {name: known["runs"].get(name, []) for name in [*(config.stem for config in configs), *SHORT]}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    header = [
        "experiment",
        "reference",
        "test result (mean ± std)",
        "95 % interval of the mean",
        "n (seeds)",
        "epochs, training time",
        "precision",
        "hardware",
        "date",
    ]
    rows = [row(name, runs, known["linear_rmse"].get(name)) for name, runs in known["runs"].items()]
    replace_between(DOCUMENT, "experiments", markdown_table(header, rows))
    write_segmentation_table(known["runs"])
    short = ["experiment", "the source", "litzoo (mean ± std)", "n", "epochs, training time", "hardware"]
    replace_between(README, "beside the source", markdown_table(short, beside_source(rows)))
    commands = [run["command"] for name in SHORT for run in known["runs"][name]]
    replace_between(DOCUMENT, "short", "\n".join(["```bash", *commands, "```"]))


if __name__ == "__main__":
    main()
