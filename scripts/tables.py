import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy import stats


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; all cells but those of the first column are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_between(path: Path, name: str, text: str) -> None:
    """Puts text between the lines `<!-- name -->` and `<!-- /name -->` of a file.

    Raises:
        ValueError: If the file has not exactly one such pair.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = path.read_text(encoding="utf-8")
    if content.count(start) != 1 or content.count(end) != 1 or content.index(start) > content.index(end):
        raise ValueError(f"{path}: needs one pair of lines {start} and {end}")
    before, rest = content.split(start)
    path.write_text(f"{before}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")


def replace_within_lines(path: Path, name: str, values: Mapping[str, str]) -> None:
    """Puts values between marks within lines, `<!-- name key -->` and `<!-- / -->`, wherever a file has some."""
    content = path.read_text(encoding="utf-8")
    for key, value in values.items():
        start = f"<!-- {name} {key} -->"
        content = re.sub(f"{re.escape(start)}.*?<!-- / -->", lambda _, text=f"{start}{value}<!-- / -->": text, content)  # type: ignore[misc]
    path.write_text(content, encoding="utf-8")


CONFIDENCE = 0.95


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Returns Student's 95 % confidence interval of the mean, which takes the values to be normally distributed.

    One value has none.
    """
    n = len(values)
    if n < 2:
        return None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(values) / n**0.5
    return statistics.mean(values) - half, statistics.mean(values) + half
