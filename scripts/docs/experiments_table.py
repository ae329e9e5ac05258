"""Collects finished runs in docs/results/experiments.json, and writes the tables of the docs that show them.

Usage: python -m litzoo.scripts.docs.experiments_table [--runs runs]

The tables are in docs/experiments.md, docs/segmentation.md and README.md. The numbers come from `metrics.json` and
`run.json` of the runs; the linear baselines are fitted here, on the same splits.
"""

import argparse
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from sklearn.linear_model import LinearRegression

from litzoo.callbacks.files import read_json
from litzoo.datamodules import TableDataModule
from litzoo.scripts.cli.classes import class_at
from litzoo.scripts.cli.run_folder import read_record
from litzoo.scripts.tables import markdown_table, mean_and_std, mean_interval, replace_between

RESULTS = Path("docs/results/experiments.json")
DOCUMENT = Path("docs/experiments.md")
SEGMENTATION = Path("docs/segmentation.md")
README = Path("README.md")

COMMAND = re.compile(
    r"(litzoo|__main__\.py|python -m litzoo(\.__main__)?) fit --config (\S*configs/)?(?P<name>\w+)(\.yaml)?"
    r"( --trainer\.precision [\w-]+)?( --trainer\.callbacks\.teacher \S+)? --seed_everything \d+"
    r"( --trainer\.precision [\w-]+)?(?P<compared> --experiment compare_\S+ --trainer\.default_root_dir \S+)?"
    r"( --trainer\.enable_progress_bar false)?( --ckpt_path \S+)?"
)
"""A run of a shipped config without other options, started by a user or by `litzoo compare`."""


class Reference(NamedTuple):
    """Test accuracy of the same system in its source, or in the paper or repository that is named.

    Attributes:
        result: The accuracy.
        epoch: `best` if it is that of the best epoch on the test set, `last` if that of the last; empty if unknown.
    """

    result: str
    epoch: str = ""


NOISY = "at 40 / 60 % (BadLabels README)"
SOURCE = {
    "mnist_softmax_mse": Reference("86.88 %", "best"),
    "mnist_cnn": Reference("98.9 %", "best"),
    "mnist_cnn_deep": Reference("99.3 %", "best"),
    "fashion_mnist_mlp": Reference("89.39 %", "best"),
    "cifar10_94": Reference("94.0 % (Jordan 2024; original images)", "last"),
    "cifar10_resnet18": Reference("81.34 % (50 epochs)"),
    "cifar10_disturb_label": Reference("82.46 % (50 epochs)"),
    "cifar10_noisy_ce": Reference(f"64.8 / 41.4 % {NOISY}", "last"),
    "cifar10_noisy_coteaching": Reference(f"84.7 / 58.0 % {NOISY}", "last"),
    "cifar10_noisy_elr": Reference(f"87.8 / 85.7 % {NOISY}", "last"),
    "cifar10_noisy_sop": Reference(f"95.5 / 94.7 % {NOISY}", "last"),
    "cifar10n_worst_ce": Reference("83.9 % (noisypy README)", "best"),
    "cifar10n_worst_elr": Reference("87.9 % (noisypy README)", "best"),
    "cifar10n_worst_sop": Reference("92.9 % (SOP+, noisypy README)", "best"),
    "mnist_noisy_coteaching": Reference("91.7 % (Han et al. 2018)", "last"),
    "mnist_1000_supervised": Reference("69.65 %"),
    "mnist_1000_pseudo_online": Reference("79.52 %"),
    "mnist_1000_pseudo_frozen": Reference("78.48 %"),
    "cifar10_250_fixmatch": Reference("95.0 % (USB, WRN-28-2)", "best"),
    "cifar10_250_freematch": Reference("95.2 % (USB, WRN-28-2)", "best"),
    "cifar10_4000_fixmatch": Reference("95.7 % (USB, WRN-28-2)", "best"),
    "cifar10_4000_freematch": Reference("95.9 % (USB, WRN-28-2)", "best"),
    "cifar10_long_tailed_ce": Reference("70.4 % (ResNet-32)"),
    "cifar10_long_tailed_logit_adjusted": Reference("77.5 % (ResNet-32, balanced softmax)"),
    "cifar10_long_tailed_ldam": Reference("77.7 % (ResNet-32, LDAM-DRW)"),
}
"""Experiment -> its reference."""

NEEDS_GPU = (
    *("cifar10_resnet18", "cifar10_disturb_label"),
    *("cifar10_vgg16_features", "cifar10_vgg16_finetune"),
    "penn_fudan_maskrcnn",
)
"""Experiments that are not measured without a GPU."""

OWN_DATA = ("csv_classifier", "csv_regressor", "image_folder")
"""Experiments that are templates for data of one's own."""

SHORT = ("cifar10_resnet18_short", "image_folder_short")
"""Runs without a config of their own: shipped experiments, shortened for a CPU."""

UNITS = {"acc": (100, " %"), "mask_map_50": (100, " % mask AP50"), "rmse": (1, " RMSE")}
"""Primary metric -> factor and unit in the table; any other metric is shown unscaled, with its name."""

SEGMENTATION_METRICS = {
    "test/mask_map_50": "masks, AP50",
    "test/mask_map": "masks, AP",
    "test/map_50": "boxes, AP50",
    "test/map": "boxes, AP",
}
"""Metric -> heading of its column in docs/segmentation.md."""

Run = dict[str, Any]
"""The content of a run's `run.json`, and its test `metrics`."""


def collect(runs: Path) -> dict[str, list[Run]]:
    """Reads the finished runs of shipped configs: experiment -> the newest run of each seed.

    Runs with options other than seed and precision, in any of their parts, do not count. Runs of comparisons count for
    experiments that have no other runs.
    """
    single: dict[str, dict[int, Run]] = {}
    compared: dict[str, dict[int, Run]] = {}
    folders = [path.parent for path in runs.glob("**/version_*/run.json") if path.parent.name[8:].isdecimal()]
    records = [(read_record(folder), folder) for folder in folders]
    for run, folder in sorted(records, key=lambda each: (each[0].get("date", ""), int(each[1].name[8:]))):
        command = _match_command(run)
        name = command["name"] if command else folder.parent.name
        if not (command or name in SHORT):
            continue
        metrics = read_json(folder / "metrics.json")
        tests = {name: value for name, value in metrics.items() if name.startswith("test/") and name.count("/") == 1}
        if tests:
            found = compared if command and command["compared"] else single
            found.setdefault(name, {})[run["seed"]] = _without_paths(run) | {"metrics": tests}
    return {name: [by_seed[seed] for seed in sorted(by_seed)] for name, by_seed in (compared | single).items()}


def _match_command(run: Run) -> re.Match[str] | None:
    """Returns the match of a run's command, if those of all its parts match."""
    parts = [COMMAND.fullmatch(part.get("command") or "") for part in (run, *run.get("earlier", []))]
    return parts[0] if all(parts) else None


def _without_paths(run: Run) -> Run:
    """Replaces the path of each shipped config in commands by `configs/NAME.yaml`, wherever it is installed."""
    text = re.sub(r"--config [^\s\"]*configs/", "--config configs/", json.dumps(run))
    return json.loads(text)


def linear_rmse(data: dict[str, Any], part: str = "test_set") -> float:
    """Fits scikit-learn's linear regression on the training rows of a table; returns its RMSE on another part.

    Args:
        data: The `data` section of a config.
        part: `test_set` or `val_set`.
    """
    datamodule = class_at(data["class_path"])(**data["init_args"])
    assert isinstance(datamodule, TableDataModule)
    datamodule.setup("fit")
    train, held_out = datamodule.train_set, getattr(datamodule, part)
    assert train is not None
    model = LinearRegression().fit(train.inputs[train.indices], train.targets[train.indices])
    errors = model.predict(held_out.inputs[held_out.indices]) - held_out.targets[held_out.indices].numpy()
    return float((errors**2).mean() ** 0.5)


def compared_on(name: str, pages: Mapping[str, str]) -> str:
    """Returns which pages, name -> text, have the command of a comparison with an experiment, as links."""
    command = re.compile(rf"^litzoo (compare|open-set-splits) .*\b{re.escape(name)}\b(?!_)", re.MULTILINE)
    return ", ".join(f"[{page}]({page})" for page, text in pages.items() if command.search(text))


def experiment_row(name: str, runs: Sequence[Run], baseline: float | None, compared: str = "") -> list[str]:
    """Returns the row of an experiment in docs/experiments.md.

    Args:
        name: Its name.
        runs: Its runs.
        baseline: RMSE of linear regression.
        compared: What `compared_on` says, for one without runs.
    """
    reference = SOURCE.get(name, Reference(""))
    if not runs:
        missing = f"only in {compared}" if compared else "not measured"
        missing = "not measured (needs a GPU)" if name in NEEDS_GPU else missing
        missing = "for data of your own" if name in OWN_DATA else missing
        return [f"`{name}`", *reference, missing, *[""] * 6]
    metric = runs[0]["primary_metric"]
    scale, unit = UNITS.get(metric, (1, f" {metric}"))
    values = [scale * run["metrics"][f"test/{metric}"] for run in runs]
    digits = 2 if max(values) < 1000 else 0
    return [
        f"`{name}`",
        *(reference if baseline is None else (f"{baseline:,.{digits}f} RMSE (linear regression)", "")),
        f"**{mean_and_std(values, digits)}{unit}**",
        " to ".join(f"{bound:,.{digits}f}" for bound in mean_interval(values) or ()),
        f"{len(runs)} ({', '.join(str(run['seed']) for run in runs)})",
        *_effort(runs),
    ]


def segmentation_row(name: str, runs: Sequence[Run]) -> list[str]:
    """Returns the row of an experiment in docs/segmentation.md: mean and standard deviation of each metric."""
    if not runs:
        return [f"`{name}`", "not measured", *[""] * (len(SEGMENTATION_METRICS) + 4)]
    first, *cells = (mean_and_std([run["metrics"][metric] for run in runs], 3) for metric in SEGMENTATION_METRICS)
    return [f"`{name}`", f"**{first}**", *cells, str(len(runs)), *_effort(runs)]


def _effort(runs: Sequence[Run]) -> list[str]:
    """Returns the cells that both tables end with: epochs and training time, precision, hardware, date."""
    seconds = [run["training_seconds"] for run in runs if run["training_seconds"] is not None]
    duration = f", {statistics.mean(seconds):,.0f} s" if seconds else ""
    return [
        f"{statistics.median(run['epochs'] for run in runs):.0f}{duration}",
        ", ".join(sorted({run["precision"] for run in runs})),
        ", ".join(sorted({run["hardware"] for run in runs})),
        max(run["date"] for run in runs),
    ]


def source_rows(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Returns the rows of README.md: the measured experiments that have a result in their source.

    Args:
        rows: Rows of docs/experiments.md, see `experiment_row`.
    """
    shown = []
    for name, reference, epoch, result, _, seeds, effort, _, hardware, _ in rows:
        experiment = name.strip("`")
        if experiment in SOURCE and seeds:
            shown.append(
                [f"[{name}](configs/{experiment}.yaml)", reference, epoch, result, seeds.split()[0], effort, hardware]
            )
    return shown


def write_tables(runs: Mapping[str, Sequence[Run]], baselines: Mapping[str, float]) -> None:
    """Writes the tables of all pages.

    Args:
        runs: Experiment -> its runs.
        baselines: Experiment -> RMSE of linear regression.
    """
    effort = ["epochs, training time", "precision", "hardware", "date"]
    header = ["experiment", "reference", "best or last epoch", "test result (mean ± std)"]
    header += ["95 % interval of the mean", "n (seeds)", *effort]
    pages = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCUMENT.parent.glob("*.md"))}
    rows = [experiment_row(name, found, baselines.get(name), compared_on(name, pages)) for name, found in runs.items()]
    replace_between(DOCUMENT, "experiments", markdown_table(header, rows))
    commands = [run["command"] for name in SHORT for run in runs[name]]
    replace_between(DOCUMENT, "short", "\n".join(["```bash", *commands, "```"]))
    header = ["experiment", *SEGMENTATION_METRICS.values(), "n", *effort]
    segmentation = [segmentation_row(name, found) for name, found in runs.items() if name.endswith("_maskrcnn")]
    replace_between(SEGMENTATION, "segmentation", markdown_table(header, segmentation))
    header = ["experiment", "the source", "its epoch", "litzoo (mean ± std)", "n", "epochs, training time", "hardware"]
    replace_between(README, "beside the source", markdown_table(header, source_rows(rows)))


def main() -> None:
    """Collects the runs and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"runs": {}, "linear_rmse": {}}
    results["runs"].update(collect(parser.parse_args().runs))
    configs = {path.stem: path for path in sorted(Path("configs").glob("*.yaml"))}
    for name in ("california_housing", "diabetes_regressor"):
        data = yaml.safe_load(configs[name].read_text(encoding="utf-8"))["data"]
        results["linear_rmse"][name] = linear_rmse(data)
    results["runs"] = {name: results["runs"].get(name, []) for name in (*configs, *SHORT)}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_tables(results["runs"], results["linear_rmse"])


if __name__ == "__main__":
    main()
