"""A picture several times side by side, with what was found in it each time."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from callbacks.figures import new_figure

Panel = dict[str, Any]
"""`epoch` (None for the true objects), `picture` uint8 `[H, W, 3]` with masks on it, and of the objects in it `boxes`
`[n, 4]`, `labels` and `scores` `[n]`."""

WIDTH = 2.2
"""Of a panel, in inches."""
CAPTION = 0.5
"""Room for its caption, in inches."""
OPAQUE = 0.55
"""Of the mask of a detection with a score of 1."""
FEW = 12
"""Detections up to which each has its class and score beside it."""
TURN = 0.618  # of the colour circle, from one object to the next: neighbours differ


def panel_of(epoch: int | None, picture: Tensor, objects: Mapping[str, Tensor]) -> Panel:
    """Puts masks onto a picture, the surest on top.

    Args:
        epoch: After which they were found; none for the true ones.
        picture: float32 `[3, H, W]` from 0 to 1.
        objects: Their `boxes`, `labels` and `masks`, and if they were found `scores`.
    """
    labels = objects["labels"].cpu()
    scores = objects["scores"].float().cpu() if "scores" in objects else torch.ones(len(labels))
    painted = picture.float().cpu().expand(3, -1, -1).clone()
    masks = objects["masks"].cpu()
    for number in scores.argsort().tolist():
        opaque = OPAQUE * scores[number]
        colour = torch.tensor(_colour(number))[:, None]
        painted[:, masks[number]] = (1 - opaque) * painted[:, masks[number]] + opaque * colour
    pixels = (painted * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    boxes = objects["boxes"].float().cpu()
    return {"epoch": epoch, "picture": pixels, "boxes": boxes, "labels": labels, "scores": scores}


def draw_strip(panels: Sequence[Panel], class_names: Sequence[str]) -> Figure:
    """Draws panels of one picture side by side."""
    height, width = panels[0]["picture"].shape[:2]
    tall = WIDTH * height / width
    figure = new_figure(WIDTH * len(panels), tall + CAPTION, arranged=False)
    for place, panel in enumerate(panels):
        axes = figure.add_axes(((place + 0.02) / len(panels), 0.01, 0.96 / len(panels), tall / (tall + CAPTION) - 0.01))
        _draw(axes, panel, class_names)
    return figure


def _draw(axes: Axes, panel: Panel, class_names: Sequence[str]) -> None:
    axes.imshow(panel["picture"])
    axes.axis("off")
    room = 0.05 * panel["picture"].shape[1]  # that a name needs above its box: panels are equally wide
    truth, scores = panel["epoch"] is None, panel["scores"].tolist()
    objects = zip(panel["boxes"].tolist(), panel["labels"].tolist(), scores, strict=True)
    for number, (box, label, score) in enumerate(objects):
        left, top, right, bottom = box
        colour = (*_colour(number), max(0.15, score))
        axes.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=0.9)
        )
        if len(scores) <= FEW:
            name = class_names[label - 1] if len(class_names) > 1 else ""
            words = name if truth else f"{name} {score:.2f}".strip()
            at, side = (top - 1, "bottom") if top > room else (top + 1, "top")
            axes.text(left, at, words, fontsize=5, color="white", va=side, clip_on=True)
    if truth:
        axes.set_title(f"truth\n{len(scores)} objects", fontsize=8)
        return
    best = f", surest {max(scores):.2f}" if scores else ""
    epoch = panel["epoch"]
    axes.set_title(f"{epoch} epoch{'' if epoch == 1 else 's'}\n{len(scores)} found{best}", fontsize=8)


def _colour(number: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb((number * TURN) % 1, 0.9, 1.0)
