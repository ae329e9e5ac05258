import statistics
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from litzoo.callbacks.files import read_json, run_folder_of, write_json

MOST_CLASSES = 20


@runtime_checkable
class ReportsSplit(Protocol):
    """A datamodule that can tell how it is split."""

    def split_report(self) -> dict[str, Any]:
        """Returns `sizes` (part -> samples) and what else there is to tell.

        `seed`, `fingerprint`, `class_names`, `per_class` (part -> one count a class), `unknown` (part -> samples of
        classes that are not learned), `label_noise` (part -> fraction of wrong labels).
        """
        ...


class SplitSummary(Callback):
    """Keeps `splits.json` in the run folder, and prints before training what is trained and validated on."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the file and prints the table."""
        if report := self._write(trainer):
            print_split(report)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds the test set to the file."""
        self._write(trainer)

    def _write(self, trainer: Trainer) -> dict[str, Any] | None:
        """Writes what the datamodule tells, and keeps what it no longer or not yet knows; returns the former."""
        path = run_folder_of(trainer) / "splits.json"
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or not isinstance(datamodule, ReportsSplit):
            return None
        report = datamodule.split_report()
        kept = read_json(path)
        for name, value in report.items():
            kept[name] = {**kept.get(name, {}), **value} if isinstance(value, dict) else value
        write_json(path, kept)
        return report


def print_split(report: dict[str, Any]) -> None:
    """Prints the samples of each class and part; of many classes the smallest, median and largest count."""
    wrong = [f", {fraction:.2%} of the {part} labels wrong" for part, fraction in report.get("label_noise", {}).items()]
    line = f"data: split {report['seed']}, fingerprint {report['fingerprint']}{''.join(wrong)}"
    Console().print(line, highlight=False, soft_wrap=True)
    parts = list(report["sizes"])
    counts = [report["per_class"][part] for part in parts] if "per_class" in report else []
    few = not counts or len(counts[0]) <= MOST_CLASSES
    table = Table(("class" if few else f"{len(counts[0])} classes") if counts else "samples")
    for part in parts:
        table.add_column(part, justify="right")
    if counts and few:
        for name, *row in zip(report["class_names"], *counts, strict=True):
            table.add_row(escape(name), *(f"{count:,}" for count in row))
    elif counts:
        picks: dict[str, Callable[[list[int]], int]]
        picks = {"smallest": min, "median": statistics.median_low, "largest": max}
        for name, pick in picks.items():
            table.add_row(name, *(f"{pick(column):,}" for column in counts))
    if unknown := report.get("unknown"):
        table.add_row("unknown", *(f"{unknown[part]:,}" if part in unknown else "" for part in parts))
    table.add_row("all", *(f"{size:,}" for size in report["sizes"].values()), style="bold")
    Console().print(table)
