"""Draws the pictures of docs/data.md, each from the YAML that stands above it.

Usage: python -m scripts.data_pictures
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from scripts.show_data import figures_of, ready_pictures

DOCUMENT = Path("docs/data.md")
WITH_PICTURE = re.compile(r"```yaml\n(.*?)```\n\n!\[[^]]*\]\((pictures/[\w.]+)\)", re.DOTALL)


def examples(text: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Finds each block of YAML with a picture below it.

    Yields:
        The `data` section, and the picture's path beside the document.
    """
    for block, picture in WITH_PICTURE.findall(text):
        yield yaml.safe_load(block)["data"], picture


def main() -> None:
    """Draws them."""
    for data, picture in examples(DOCUMENT.read_text(encoding="utf-8")):
        torch.manual_seed(0)
        drawn = io.BytesIO()
        figures = figures_of(ready_pictures(data))
        figures.get(Path(picture).stem, figures["data_sheet"]).savefig(drawn, dpi=72)
        # 64 colours are enough, and a fifth of the size.
        Image.open(drawn).convert("RGB").quantize(64).save(DOCUMENT.parent / picture, optimize=True)
        print(DOCUMENT.parent / picture)


if __name__ == "__main__":
    main()
