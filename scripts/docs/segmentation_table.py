"""The table of docs/segmentation.md, from the runs that `litzoo.scripts.docs.experiments_table` has collected."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litzoo.scripts.tables import markdown_table, replace_between

DOCUMENT = Path("docs/segmentation.md")
ENDING = "_maskrcnn"
SCORES = {
    "test/mask_map_50": "masks, AP50",
    "test/mask_map": "masks, AP",
    "test/map_50": "boxes, AP50",
    "test/map": "boxes, AP",
}
"""Metric -> heading of its column."""


def write_segmentation_table(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Writes a row for each experiment in instance segmentation.

    Args:
        runs: Experiment -> its runs.
    """
    header = ["experiment", *SCORES.values(), "n", "epochs, training time", "precision", "hardware", "date"]
    rows = [segmentation_row(name, found) for name, found in runs.items() if name.endswith(ENDING)]
    replace_between(DOCUMENT, "segmentation", markdown_table(header, rows))


def segmentation_row(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Writes one experiment's line: test scores, mean and standard deviation over its runs."""
    if not runs:
        return [f"`{name}`", "not measured", *[""] * (len(SCORES) + 4)]
    cells = []
    for metric in SCORES:
        values = [run["metrics"][metric] for run in runs]
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.3f}{spread}")
    seconds = [run["training_seconds"] for run in runs if run["training_seconds"] is not None]
    duration = f", {statistics.mean(seconds):,.0f} s" if seconds else ""
    return [
        f"`{name}`",
        f"**{cells[0]}**",
        *cells[1:],
        str(len(runs)),
        f"{statistics.median(run['epochs'] for run in runs):.0f}{duration}",
        ", ".join(sorted({run["precision"] for run in runs})),
        ", ".join(sorted({run["hardware"] for run in runs})),
        max(run["date"] for run in runs),
    ]
