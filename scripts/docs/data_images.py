"""Draws the images of docs/data.md, each from the YAML that stands above it.

Usage: python -m litzoo.scripts.docs.data_images
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from litzoo.scripts.data_sheet.command import figures_of, ready_images

DOCUMENT = Path("docs/data.md")
WITH_IMAGE = re.compile(r"```yaml\n(.*?)```\n\n!\[[^]]*\]\((images/[\w.]+)\)", re.DOTALL)


def examples(text: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Finds each block of YAML with an image below it.

    Yields:
        The `data` section, and the image's path beside the document.
    """
    for block, image in WITH_IMAGE.findall(text):
        yield yaml.safe_load(block)["data"], image


def main() -> None:
    """Draws them."""
    for data, image in examples(DOCUMENT.read_text(encoding="utf-8")):
        torch.manual_seed(0)
        drawn = io.BytesIO()
        figures = figures_of(ready_images(data))
        figures.get(Path(image).stem, figures["data_sheet"]).savefig(drawn, dpi=72)
        # 64 colours are enough, and a fifth of the size.
        Image.open(drawn).convert("RGB").quantize(64).save(DOCUMENT.parent / image, optimize=True)
        print(DOCUMENT.parent / image)


if __name__ == "__main__":
    main()
