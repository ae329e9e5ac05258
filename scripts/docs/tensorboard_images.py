"""Takes the screenshots of TensorBoard in docs/command.md, with a headless Chromium.

    python -m litzoo.scripts.docs.tensorboard_images

Trains the digits with three learning rates, seconds each, in a temporary folder.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from PIL import Image

TABS = {"hparams": (1900, 420), "projector": (1400, 640)}
"""Tab -> size of the window in pixels: that of the options is wide enough for the metrics on their right."""
RATES = (0.001, 0.005, 0.02)
SECONDS_TO_START, SECONDS_TO_DRAW = 120, 45
DRAWING = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
"""Options of Chromium for the projector's WebGL without a GPU."""


def main() -> None:
    """Trains, starts TensorBoard and saves a screenshot of each tab."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("docs/images"), help="folder to write to")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    if not args.chromium:
        sys.exit("--chromium: there is no chromium or google-chrome on the PATH; give the path of one")
    with tempfile.TemporaryDirectory() as folder:
        for rate in RATES:
            options = ["--model.optimizer.lr", str(rate), "--model.scheduler.max_lr", str(rate)]
            options += ["--trainer.max_epochs", str(args.epochs), "--trainer.default_root_dir", folder]
            fit = [sys.executable, "-m", "litzoo", "fit", "--config", "digits_unknown", *options]
            subprocess.run([*fit, "--experiment", f"lr_{rate}"], check=True)
        _take_screenshots(Path(folder), args.images, args.chromium)


def _take_screenshots(runs: Path, images: Path, chromium: str) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    board = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--port", str(port)])
    try:
        _wait_for(f"http://localhost:{port}/data/plugin/custom_scalars/layout")
        for tab, size in TABS.items():
            drawn = runs / f"{tab}.png"
            options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", *DRAWING, f"--screenshot={drawn}"]
            options += [f"--window-size={size[0]},{size[1]}", f"--virtual-time-budget={1000 * SECONDS_TO_DRAW}"]
            subprocess.run([chromium, *options, f"http://localhost:{port}/#{tab}"], check=True, capture_output=True)
            few_colours = Image.open(drawn).convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE)
            few_colours.save(images / f"tensorboard_{tab}.png", optimize=True)
    finally:
        board.terminate()
        board.wait()


def _wait_for(address: str) -> None:
    """Waits until TensorBoard has read the runs."""
    for _ in range(SECONDS_TO_START):
        try:
            with urllib.request.urlopen(address) as answer:
                if b"category" in answer.read():
                    return
        except urllib.error.URLError:
            pass
        time.sleep(1)
    raise TimeoutError(f"{address}: TensorBoard has not read the runs within {SECONDS_TO_START} seconds")


if __name__ == "__main__":
    main()
