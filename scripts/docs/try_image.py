"""Takes the screenshot of `litzoo try` in docs/deploy.md: a drawn stroke, in headless Chromium.

    python -m litzoo.scripts.docs.try_image CHECKPOINT [--image docs/images/try.png]

The checkpoint is one of digits, such as runs/digits_unknown/version_0/checkpoints/best.ckpt.
"""

import argparse
import asyncio
import io
from math import cos, pi, sin
from pathlib import Path

from PIL import Image

from litzoo.scripts.docs.browser import opened
from litzoo.scripts.web.command import serve
from litzoo.scripts.web.page import SIDE

SIZE = (1100, 900)
BOXES = "[...document.querySelectorAll('#canvas canvas')].map(e => e.getBoundingClientRect().toJSON())"
READY = "!document.querySelector('#canvas')?.innerText.includes('draw tool') && !!document.querySelector('#drawn')"


def main() -> None:
    """Serves the page, draws a 2 and saves a screenshot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--image", type=Path, default=Path("docs/images/try.png"))
    options = parser.parse_args()
    app = serve(["--ckpt_path", options.checkpoint, "--device", "cpu"])
    try:
        pixels = asyncio.run(_drawn(app.local_url))
    finally:
        app.close()
    few_colours = Image.open(io.BytesIO(pixels)).convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE)
    few_colours.save(options.image, optimize=True)


async def _drawn(address: str) -> bytes:
    async with opened(address, SIZE) as page:
        await page.wait_for(f"({BOXES}).length && {READY}")
        box = max(await page.value(BOXES), key=lambda each: each["width"])
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await page.drag([(x + SIDE * across, y + SIDE * down) for across, down in _two()])
        await page.value("document.querySelector('#drawn').click()")
        await page.wait_for("document.querySelector('#answer h1')?.innerText")
        await asyncio.sleep(2)  # until bars and image are drawn
        return await page.screenshot()


def _two() -> list[tuple[float, float]]:
    """Returns the points of a 2, in sides of the canvas from its centre."""
    arc = [(0.2 * cos(angle), 0.2 * sin(angle) - 0.15) for angle in (pi + 1.4 * pi * step / 30 for step in range(31))]
    end = arc[-1]
    down = [(end[0] + (-0.22 - end[0]) * step / 15, end[1] + (0.33 - end[1]) * step / 15) for step in range(1, 16)]
    return [*arc, *down, *((-0.22 + 0.44 * step / 15, 0.33) for step in range(1, 16))]


if __name__ == "__main__":
    main()
