"""The detections in one image over the epochs, side by side."""

import colorsys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from litzoo.callbacks.contracts import DetectsObjects
from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.figures import CHARACTERS_PER_INCH, new_figure, publish_figure
from litzoo.datamodules import SegmentationDataModule
from litzoo.datamodules.counted import counted

Panel = dict[str, Any]
"""`epoch` (None for the true objects), `image` uint8 `[H, W, 3]` with masks painted on it, and `boxes` `[n, 4]`,
`labels` and `scores` `[n]` of its objects; `name`, if there is one, stands above it instead of the epoch."""

_PANEL_WIDTH, _CAPTION_HEIGHT, _HEADING_HEIGHT = 2.2, 0.5, 0.35
"""In inches."""
_TALLEST = 2.0
"""Height of a panel in its widths, above which an image is made narrower."""
_CARD_PANELS = 2
"""Panels in a row on a card of TensorBoard."""
_OPACITY = 0.55
"""Opacity of the mask of a detection with a score of 1."""
_MAX_LABELED = 12
"""Number of detections up to which each is labeled with its class and score, in a panel of this width."""
_HUE_STEP = 0.618
"""Difference in hue between an object and the next: the golden ratio keeps them apart."""


class DetectionProgress(Callback):
    """Follows what a detector finds in one image during training; epoch 0 is before any training.

    Before training and after every epoch it runs the model on the image, and logs the number of detections and the
    highest score, `val/detections` and `val/top_score`. Detections below the module's `min_score` do not count.
    At the given epochs the detections are drawn, the more opaque the higher the score. The result is
    `figures/detection_progress.png`, a strip of panels that starts with the true objects. The panels are part of the
    checkpoint. The weights are always those being trained, even if a moving average of them is validated.

    Args:
        epochs: Numbers of trained epochs after which the detections are drawn.
        image: Position of the image in the validation set. Without validation, in the training set; the metrics are
            then `train/...`.

    Raises:
        ValueError: If an epoch or the position is negative, or there is no such image.
        TypeError: If the module is no detector, or the datamodule has no objects.
    """

    def __init__(self, epochs: Sequence[int] = (0, 1, 3, 10, 20, 100), image: int = 0) -> None:
        if not epochs or min(epochs) < 0:
            raise ValueError(
                f"DetectionProgress.epochs: {list(epochs)}; give one or more numbers from 0 on, such as [0, 1, 10]"
            )
        if image < 0:
            raise ValueError(f"DetectionProgress.image: {image} is negative; give a position in the validation set")
        self.epochs, self.image = sorted(set(epochs)), image
        self.panels: list[Panel] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and position of the image."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        require_detector(self, pl_module)
        if stage == "fit":
            self.panels = []
            if not isinstance(datamodule, SegmentationDataModule):
                raise TypeError(
                    f"DetectionProgress draws an image with objects, but {type(datamodule).__name__} has none: "
                    "remove the callback or choose a SegmentationDataModule"
                )
            self._part: Literal["train", "val"] = "val" if datamodule.validates else "train"
            count = len(getattr(datamodule, f"{self._part}_set"))
            if self.image >= count:
                raise ValueError(
                    f"DetectionProgress.image: {self.image}, but there are only {count} images ({self._part}); give 0 "
                    f"to {count - 1}"
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Runs the model before any training."""
        if trainer.global_step == 0:
            metrics = self._detect(trainer, pl_module, 0)
            for logger in trainer.loggers:
                logger.log_metrics({f"{self._part}/{name}": value for name, value in metrics.items()}, step=0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Runs the model after an epoch."""
        for name, value in self._detect(trainer, pl_module, trainer.current_epoch + 1).items():
            # The value is the same on every process; `sync_dist` only avoids Lightning's warning.
            pl_module.log(f"{self._part}/{name}", value, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """Returns the panels drawn so far."""
        return {"panels": self.panels}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the panels."""
        self.panels = list(state_dict["panels"])

    def _detect(self, trainer: Trainer, module: LightningModule, epoch: int) -> dict[str, float]:
        run_folder = run_folder_of(trainer)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        image, objects = datamodule.image_with_objects(self._part, self.image)
        assert isinstance(module, DetectsObjects)
        with trainer.precision_plugin.forward_context():
            (detections,) = module.detect([image.to(module.device)])
        if epoch in self.epochs:
            if not self.panels:
                self.panels.append(make_panel(None, image, objects))
            self.panels.append(make_panel(epoch, image, detections))
            strip = draw_strip(self.panels, module.class_names)
            card = draw_strip(self.panels, module.class_names, _CARD_PANELS)
            publish_figure(trainer, "detection_progress", strip, run_folder, card)
        scores = detections["scores"]
        return {"detections": float(len(scores)), "top_score": float(scores.max()) if len(scores) else 0.0}


def require_detector(callback: Callback, module: LightningModule) -> None:
    """Checks that a module detects objects.

    Raises:
        TypeError: If it has no `detect`.
    """
    if not isinstance(module, DetectsObjects):
        raise TypeError(
            f"{type(callback).__name__} draws detections, but {type(module).__name__} has no detect: remove the "
            "callback or choose a MaskRCNNSegmenter"
        )


def make_panel(epoch: int | None, image: Tensor, objects: Mapping[str, Tensor]) -> Panel:
    """Paints the masks of objects onto an image, those with the highest score on top.

    Args:
        epoch: Number of trained epochs; None for the true objects.
        image: float32 `[3, H, W]` from 0 to 1.
        objects: `boxes` `[n, 4]`, `labels` `[n]`, `masks` bool `[n, H, W]` and, for detections, `scores` `[n]`.
    """
    labels = objects["labels"].cpu()
    scores = objects["scores"].float().cpu() if "scores" in objects else torch.ones(len(labels))
    painted = image.float().cpu().expand(3, -1, -1).clone()
    masks = objects["masks"].cpu()
    for number in scores.argsort().tolist():
        opacity = _OPACITY * scores[number]
        colour = torch.tensor(_colour(number))[:, None]
        painted[:, masks[number]] = (1 - opacity) * painted[:, masks[number]] + opacity * colour
    pixels = (painted * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    boxes = objects["boxes"].float().cpu()
    return {"epoch": epoch, "image": pixels, "boxes": boxes, "labels": labels, "scores": scores}


def draw_strip(
    panels: Sequence[Panel],
    class_names: Sequence[str],
    columns: int | None = None,
    width: float = _PANEL_WIDTH,
    heading: str = "",
) -> Figure:
    """Draws panels side by side, in rows as high as their tallest image.

    Args:
        panels: From `make_panel`.
        class_names: K names; label 1 is the first.
        columns: Panels in a row; by default all.
        width: Width of a panel in inches.
        heading: Title of the figure.
    """
    columns = min(columns or len(panels), len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [width * max(min(_TALLEST, _aspect(panel)) for panel in row) for row in rows]
    heading = textwrap.fill(heading, int(CHARACTERS_PER_INCH * width * columns))
    heading_height = _HEADING_HEIGHT * (heading.count("\n") + 1) if heading else 0.0
    total = sum(heights) + _CAPTION_HEIGHT * len(rows) + heading_height
    figure = new_figure(width * columns, total, constrained=False)
    bottom = 1 - heading_height / total
    for row, height in zip(rows, heights, strict=True):
        bottom -= (height + _CAPTION_HEIGHT) / total
        for column, panel in enumerate(row):
            left, right = (column + 0.02) / columns, (column + 0.98) / columns
            axes = figure.add_axes((left, bottom + 0.01 / len(rows), right - left, height / total - 0.01 / len(rows)))
            axes.set_anchor("N")
            _draw_panel(axes, panel, class_names, most_labeled=int(_MAX_LABELED * (width / _PANEL_WIDTH) ** 2))
    if heading:
        figure.suptitle(heading, fontsize=10, y=1 - 0.3 * _HEADING_HEIGHT / total)
    return figure


def _aspect(panel: Panel) -> float:
    """Returns the height of an image in its widths."""
    height, width = panel["image"].shape[:2]
    return height / width


def _draw_panel(axes: Axes, panel: Panel, class_names: Sequence[str], most_labeled: int) -> None:
    axes.imshow(panel["image"])
    axes.axis("off")
    label_height = 0.05 * panel["image"].shape[1]  # in pixels; all panels have the same width in inches
    truth, scores = panel["epoch"] is None, panel["scores"].tolist()
    objects = zip(panel["boxes"].tolist(), panel["labels"].tolist(), scores, strict=True)
    for number, (box, label, score) in enumerate(objects):
        left, top, right, bottom = box
        colour = (*_colour(number), max(0.15, score))
        axes.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=0.9)
        )
        if len(scores) <= most_labeled:
            name = class_names[label - 1] if len(class_names) > 1 else ""
            text = name if truth else f"{name} {score:.2f}".strip()
            y, alignment = (top - 1, "bottom") if top > label_height else (top + 1, "top")
            outline = [withStroke(linewidth=1, foreground="black")]  # legible on light images too
            axes.text(left, y, text, fontsize=5, color="white", va=alignment, clip_on=True, path_effects=outline)
    if truth:
        axes.set_title(f"truth\n{len(scores)} objects", fontsize=8)
        return
    highest = f", top score {max(scores):.2f}" if scores else ""
    name = panel.get("name") or counted(panel["epoch"], "epoch")
    axes.set_title(f"{name}\n{len(scores)} found{highest}", fontsize=8)


def _colour(number: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb((number * _HUE_STEP) % 1, 0.9, 1.0)
