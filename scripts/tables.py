"""Markdown tables, the statistics that they show, and the marked parts of pages that they are written to."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy import stats

CONFIDENCE = 0.95


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; all columns but the first are right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def mean_and_std(values: Sequence[float], digits: int) -> str:
    """Formats the mean and the sample standard deviation as `mean ± std`; a single value has no `± std`.

    With a NaN or infinite value there is no standard deviation either.
    """
    spread = f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 and all(map(math.isfinite, values)) else ""
    return f"{statistics.mean(values):,.{digits}f}{spread}"


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Returns Student's 95 % confidence interval of the mean of normally distributed values.

    A single value has no interval, nor have values that are not all finite.
    """
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(values) / n**0.5
    return statistics.mean(values) - half, statistics.mean(values) + half


def has_marks(content: str, name: str) -> bool:
    """Whether a page has exactly one line `<!-- name -->`, and below it exactly one line `<!-- /name -->`."""
    start, end = marks(name)
    return content.count(start) == content.count(end) == 1 and content.index(start) < content.index(end)


def marks(name: str) -> tuple[str, str]:
    """Returns the lines of a page that a result of this name is written between."""
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def replace_between(path: Path, name: str, text: str) -> None:
    """Writes text between the lines `<!-- name -->` and `<!-- /name -->` of a file.

    Raises:
        ValueError: If the file does not have exactly one such pair.
    """
    start, end = marks(name)
    content = path.read_text(encoding="utf-8")
    if not has_marks(content, name):
        raise ValueError(f"{path}: needs one pair of lines {start} and {end}")
    before, rest = content.split(start)
    path.write_text(f"{before}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")


def replace_within_lines(path: Path, name: str, values: Mapping[str, str]) -> None:
    """Writes each value between all marks `<!-- name key -->` and `<!-- / -->` that share a line of the file."""
    content = path.read_text(encoding="utf-8")
    for key, value in values.items():
        start = f"<!-- {name} {key} -->"
        content = re.sub(f"{re.escape(start)}.*?<!-- / -->", lambda _, text=f"{start}{value}<!-- / -->": text, content)  # type: ignore[misc]
    path.write_text(content, encoding="utf-8")
