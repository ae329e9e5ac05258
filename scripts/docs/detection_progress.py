"""Draws what a detector finds in one image during training, and how many objects with which score, for the docs.

    python -m litzoo.scripts.docs.detection_progress runs/nuclei_maskrcnn/version_0

The run needs a `DetectionProgress`. Its panels are read from `last.ckpt` and its curves from TensorBoard's event file.
It writes docs/images/detection_progress.png, and the run's facts to docs/segmentation.md.
"""

import argparse
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from PIL import Image

from litzoo.callbacks.reporting.detection import Panel, draw_strip
from litzoo.callbacks.reporting.figures import new_figure
from litzoo.scripts.cli.run_folder import read_record
from litzoo.scripts.compare.compared_run import read_history
from litzoo.scripts.tables import replace_between

PAGE, MARK = Path("docs/segmentation.md"), "detection progress"
CURVES = {"detections": "objects found", "top_score": "highest score"}


def main() -> None:
    """Draws the figure and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder, runs/<experiment>/version_<k>")
    run = parser.parse_args().run
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    state = next((each for name, each in checkpoint["callbacks"].items() if name.startswith("DetectionProgress")), None)
    if not state or not state["panels"]:
        parser.error(f"{run}: has no DetectionProgress; add it to trainer.callbacks, and train again")
    panels = state["panels"]
    names = checkpoint["hyper_parameters"].get("class_names") or ()
    strip, curves = draw_strip(panels, list(names)), draw_curves(panels, curves_of(run, panels))
    path = _below_each_other([strip, curves], PAGE.parent / "images" / "detection_progress.png")
    epochs = [panel["epoch"] for panel in panels if panel["epoch"] is not None]
    record = read_record(run)
    words = shlex.split(record["command"])
    config = words[words.index("--config") + 1] if "--config" in words else run.parent.name
    options = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    whole = options["trainer"]["max_epochs"]
    facts = [
        f"`{Path(config).stem}` with `--trainer.max_epochs {whole}`",
        *([] if record["epochs"] == whole else [f"so far {record['epochs']} epochs"]),
        *(f"{name} {record[name]}" for name in ("seed", "precision") if record.get(name) is not None),
        f"{record['hardware']}, {record['date']}, n = 1",
    ]
    text = f"Detections in one image before training and after {', '.join(map(str, epochs[1:]))} epochs"
    image = f'<img src="{path.relative_to(PAGE.parent)}" width="100%" alt="{text}, and their number and highest score">'
    replace_between(PAGE, MARK, f"{image}\n\n{'; '.join(facts)}.")
    print(json.dumps({"epochs": epochs, "image": str(path)}))


def curves_of(run: Path, panels: Sequence[Panel]) -> dict[str, dict[int, float]]:
    """Returns number found and highest score by epoch; those before training are in the first panel."""
    history = read_history(run)
    part = "val" if "val/detections" in history else "train"
    first: Mapping[str, Any] = next(panel for panel in panels if panel["epoch"] is not None)
    scores = first["scores"].tolist()
    before = {"detections": float(len(scores)), "top_score": max(scores, default=0.0)}
    return {name: {first["epoch"]: before[name]} | history.get(f"{part}/{name}", {}) for name in CURVES}


def draw_curves(panels: Sequence[Panel], curves: Mapping[str, Mapping[int, float]]) -> Figure:
    """Draws number found and highest score over the epochs, marked where a panel shows the image."""
    figure = new_figure(2.2 * len(panels), 2.5)
    shown = [panel["epoch"] for panel in panels if panel["epoch"] is not None]
    truth = next((len(panel["labels"]) for panel in panels if panel["epoch"] is None), None)
    for axes, (name, values) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        axes.plot(list(values), list(values.values()), color="tab:blue", linewidth=1.2)
        marked = [epoch for epoch in shown if epoch in values]
        axes.plot(marked, [values[epoch] for epoch in marked], "o", color="tab:red", markersize=5)
        if name == "detections" and truth is not None:
            axes.axhline(truth, color="gray", linestyle="--", linewidth=1)
            place = axes.get_yaxis_transform()
            axes.text(0.01, truth, f"{truth} true objects", transform=place, va="bottom", fontsize=8, color="gray")
        axes.set_xscale("symlog", linthresh=1)  # 0 has a place too
        axes.xaxis.set_major_locator(FixedLocator(shown))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda epoch, _: f"{epoch:.0f}")
        axes.set(
            xlabel="epoch (red: the images above)", ylabel=CURVES[name], xlim=(-0.1, 1.2 * max(values)), ylim=(0, None)
        )
        axes.grid(alpha=0.3)
    return figure


def _below_each_other(figures: Sequence[Figure], path: Path) -> Path:
    drawn = []
    for figure in figures:
        figure.savefig(buffer := io.BytesIO())
        drawn.append(Image.open(buffer).convert("RGB"))
    page = Image.new("RGB", (max(each.width for each in drawn), sum(each.height for each in drawn)), "white")
    top = 0
    for each in drawn:
        page.paste(each, (0, top))
        top += each.height
    page.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


if __name__ == "__main__":
    main()
