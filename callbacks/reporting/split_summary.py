import statistics
from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from litzoo.callbacks.files import read_json, run_folder_of, write_json
from litzoo.callbacks.reporting._kept_file import KeepsFileOfRefused
from litzoo.datamodules import BaseDataModule
from litzoo.datamodules.class_labels import ClassLabels
from litzoo.datamodules.counted import counted

_MAX_CLASSES = 20
"""Number of classes up to which the table has one row per class."""


class SplitSummary(KeepsFileOfRefused):
    """Writes `splits.json` into the run folder, and prints a table of the split before training.

    Where corrections change the test set, a test logs `test/corrections/relabelled` and `dropped`, numbers of samples.

    Attributes:
        remarks: What corrections change in the test set, to be printed below the metrics.
    """

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file and prints the table."""
        path = run_folder_of(trainer) / "splits.json"  # every process has to ask for it
        if trainer.is_global_zero:
            self.keep(path)
        if report := self._write(trainer):
            print_split(report)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the test set to the file."""
        self._write(trainer)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        self.remarks = []
        if isinstance(datamodule, ClassLabels) and datamodule.applied_corrections is not None:
            file, changes = datamodule.applied_corrections.file, datamodule.other_corrections.test_changes()
            self.remarks = [f"The test labels are those after {file}: {changes}."]

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs what corrections change in the test set."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(datamodule, ClassLabels):
            for name, number in datamodule.other_corrections.test_counts().items():
                pl_module.log(f"test/corrections/{name}", float(number), batch_size=1, sync_dist=True)

    def _write(self, trainer: Trainer) -> dict[str, Any] | None:
        """Merges the datamodule's split report into the file, and returns the report (on rank 0)."""
        path = run_folder_of(trainer) / "splits.json"
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or not isinstance(datamodule, BaseDataModule):
            return None
        report = datamodule.split_report()
        before = read_json(path)
        before.pop("test_corrections", None)  # of another test
        if "test_corrections" in report:  # the training had others, and what is there of it stays
            of_test = {name: {"test": report[name]["test"]} for name in ("sizes", "per_class")}
            report = {"test_corrections": report["test_corrections"], **of_test}
        write_json(path, _merged(before, report))
        return report


def _merged(before: Any, now: Any) -> Any:
    """Returns the values of both, the later ones where both have them."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return now
    return before | {name: _merged(before.get(name), value) for name, value in now.items()}


def print_split(report: dict[str, Any]) -> None:
    """Prints the number of samples per class and part; with many classes the smallest, median and largest count.

    Args:
        report: From `BaseDataModule.split_report`: `seed`, `fingerprint`, `sizes` (part -> samples) and, if known,
            `class_names`, `per_class` (part -> one count per class), `unknown` (part -> samples of unknown classes),
            `without_label` (part -> samples that have none), `label_noise` (part -> fraction of wrong labels),
            `not_used` (training samples in no part), `corrections` (the `file`, and part -> samples that were
            `relabelled`, `dropped`, ...) and `notes` (sentences that are printed below the table).
    """
    wrong = [f", {fraction:.2%} of the {part} labels wrong" for part, fraction in report.get("label_noise", {}).items()]
    line = f"data: split {report['seed']}, fingerprint {report['fingerprint']}{''.join(wrong)}"
    Console().print(line, highlight=False, soft_wrap=True)
    if corrections := report.get("corrections"):
        changes = [f"{sum(corrections.get(name, {}).values()):,} samples {name}" for name in ("relabelled", "dropped")]
        others = {"of_unknown_class": "left out as of an unknown class", "without_effect": "in no part, without effect"}
        changes += [
            f"{sum(corrections[name].values()):,} {text}" for name, text in others.items() if name in corrections
        ]
        Console().print(f"{corrections['file']}: {', '.join(changes)}", highlight=False, soft_wrap=True)
    parts = list(report["sizes"])
    counts = [report["per_class"][part] for part in parts] if "per_class" in report else []
    few = not counts or len(counts[0]) <= _MAX_CLASSES
    table = Table(("class" if few else f"{len(counts[0])} classes") if counts else "samples")
    for part in parts:
        table.add_column(part, justify="right")
    without_label = report.get("without_label", {})
    if counts and few:
        for name, *row in zip(report["class_names"], *counts, strict=True):
            cells = ("" if part in without_label else f"{count:,}" for part, count in zip(parts, row, strict=True))
            table.add_row(escape(name), *cells)
    elif counts:
        rows: dict[str, Callable[[list[int]], int]]
        rows = {"smallest": min, "median": statistics.median_low, "largest": max}
        for name, choose in rows.items():
            table.add_row(name, *(f"{choose(column):,}" for column in counts))
    for name in ("unknown", "without_label"):
        if numbers := report.get(name):
            table.add_row(name.replace("_", " "), *(f"{numbers[part]:,}" if part in numbers else "" for part in parts))
    table.add_row("all", *(f"{size:,}" for size in report["sizes"].values()), style="bold")
    Console().print(table)
    if not_used := report.get("not_used"):
        Console().print(
            f"{counted(not_used, 'training sample is', 'training samples are')} not used "
            "(data.train_size, data.imbalance)",
            highlight=False,
            soft_wrap=True,
        )
    for note in report.get("notes", ()):
        Console().print(escape(note), highlight=False, soft_wrap=True)
