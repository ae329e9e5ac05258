"""Draws the images of docs/data.md, each from the YAML block above it.

Usage: python -m litzoo.scripts.docs.data_images
"""

import argparse
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from litzoo.scripts.data_sheet.command import draw_figures, prepare_datamodule

DOCUMENT = Path("docs/data.md")
YAML_WITH_IMAGE = re.compile(r"```yaml\n((?:(?!```).)*)```\n\n!\[[^]]*\]\((images/[\w.]+)\)", re.DOTALL)


def examples(text: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Finds the YAML blocks that are followed by an image.

    Yields:
        The `data` section, and the path of the image relative to the document.
    """
    for block, image in YAML_WITH_IMAGE.findall(text):
        yield yaml.safe_load(block)["data"], image


def main() -> None:
    """Draws all images."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for data, image in examples(DOCUMENT.read_text(encoding="utf-8")):
        torch.manual_seed(0)
        drawn = io.BytesIO()
        figures = draw_figures(prepare_datamodule(data))
        figures.get(Path(image).stem, figures["data_sheet"]).savefig(drawn, dpi=72)
        # 64 colours take a fifth of the size.
        Image.open(drawn).convert("RGB").quantize(64).save(DOCUMENT.parent / image, optimize=True)
        print(DOCUMENT.parent / image)


if __name__ == "__main__":
    main()
