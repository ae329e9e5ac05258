"""The files of a comparison: its results as Markdown, CSV and JSON, beside its figures."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from litzoo.callbacks.files import atomic_write, write_csv, write_json

_FACTS = ("training_seconds", "epochs", "hardware", "precision", "torch", "date", "git_revision")
"""What `results.csv` has of the record of each run."""


def write_results(folder: Path, content: Mapping[str, Any], parts: Sequence[str]) -> None:
    """Writes `results.json`, `results.csv` with a row for each run, and `results.md` into the folder of a comparison.

    Args:
        folder: The folder.
        content: What the JSON file has; its `variants` are those of `collect`.
        parts: Paragraphs of the Markdown file.
    """
    write_json(folder / "results.json", content)
    write_csv(folder / "results.csv", _columns(content["variants"]))
    with atomic_write(folder / "results.md") as temporary:
        temporary.write_text("\n\n".join([f"# {content['name']}", *parts]) + "\n", encoding="utf-8")


def save_small(figure: Figure, path: Path) -> Path:
    """Saves a figure for a page, with 128 colours, which takes a quarter of the size; returns the path."""
    drawn = io.BytesIO()
    figure.savefig(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    # MAXCOVERAGE keeps the colours of thin lines.
    few_colours = Image.open(drawn).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few_colours.save(path, optimize=True)
    return path


def _columns(results: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Returns variant, seed, perhaps fold, metrics and facts of each run; empty where a run lacks one."""
    runs = [(variant, run) for variant, result in results.items() for run in result["runs"]]
    metrics = dict.fromkeys(name for _, run in runs for name in run["metrics"])
    folds = {"fold": [run["fold"] for _, run in runs]} if all("fold" in run for _, run in runs) else {}
    return {
        "variant": [variant for variant, _ in runs],
        "seed": [run["seed"] for _, run in runs],
        **folds,
        **{name: [run["metrics"].get(name, "") for _, run in runs] for name in metrics},
        **{fact: [run.get(fact, "") for _, run in runs] for fact in _FACTS},
    }
