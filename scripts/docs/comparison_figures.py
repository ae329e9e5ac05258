"""Draws the figures of the comparisons in the docs anew, from their results, without training.

    python -m litzoo.scripts.docs.comparison_figures [NAME ...]

For each docs/results/compare_<name>.json it writes the curves and the differences to docs/images, and links the
differences on the page that has the comparison.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from litzoo.scripts.compare.figure import Histories, draw_comparison
from litzoo.scripts.compare.files import save_small
from litzoo.scripts.compare.forest import draw_differences
from litzoo.scripts.tables import has_marks, marks

DOCS = Path("docs")


def main() -> None:
    """Draws them all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    for path in sorted((DOCS / "results").glob("compare_*.json")):
        name = path.stem.removeprefix("compare_")
        page = next(
            (each for each in DOCS.glob("*.md") if has_marks(each.read_text(encoding="utf-8"), f"compare {name}")), None
        )
        if page is not None and (not names or name in names):
            draw(name, json.loads(path.read_text(encoding="utf-8")), page)
            print(name)


def draw(name: str, content: dict[str, Any], page: Path) -> None:
    """Draws the figures of one comparison, and links that of the differences on its page."""
    images, metric = page.parent / "images", content["metric"]
    if histories := _histories(content):
        wrong, sizes = content["wrong_validation_labels"], content.get("validation_samples", ())
        figure = draw_comparison(histories, list(content["curves"]), wrong, validation_sizes=sizes)
        save_small(figure, images / f"compare_{name}.png")
    differences = draw_differences(content["variants"], metric)
    if differences is None:
        return
    path = save_small(differences, images / f"compare_{name}_differences.png")
    text = page.read_text(encoding="utf-8")
    start, end = marks(f"compare {name}")
    before, rest = text.split(start)
    block, after = rest.split(end)
    link = f"![differences in {metric}]({path.relative_to(page.parent)})"
    if link not in block:
        own = f"]({(images / f'compare_{name}.png').relative_to(page.parent)})"
        lines = [f"{link}\n\n{line}" if own in line else line for line in block.split("\n")]
        page.write_text(before + start + "\n".join(lines) + end + after, encoding="utf-8")


def _histories(content: dict[str, Any]) -> Histories:
    """Returns the curves by variant, seed, metric and epoch; JSON has turned seeds and epochs into text."""
    found: dict[str, dict[int, dict[str, dict[int, float]]]] = {variant: {} for variant in content["variants"]}
    for metric, variants in content.get("curves", {}).items():
        for variant, seeds in variants.items():
            for seed, values in seeds.items():
                epochs = {int(epoch): value for epoch, value in values.items()}
                found[variant].setdefault(int(seed), {})[metric] = epochs
    return {variant: seeds for variant, seeds in found.items() if seeds}


if __name__ == "__main__":
    main()
