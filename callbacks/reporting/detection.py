"""An image several times side by side, with what was found in it each time."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.figures import new_figure, publish_figure

Panel = dict[str, Any]
"""`epoch` (None for the true objects), `image` uint8 `[H, W, 3]` with masks on it, and of the objects in it `boxes`
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


def panel_of(epoch: int | None, image: Tensor, objects: Mapping[str, Tensor]) -> Panel:
    """Puts masks onto an image, the surest on top.

    Args:
        epoch: After which they were found; none for the true ones.
        image: float32 `[3, H, W]` from 0 to 1.
        objects: Their `boxes`, `labels` and `masks`, and if they were found `scores`.
    """
    labels = objects["labels"].cpu()
    scores = objects["scores"].float().cpu() if "scores" in objects else torch.ones(len(labels))
    painted = image.float().cpu().expand(3, -1, -1).clone()
    masks = objects["masks"].cpu()
    for number in scores.argsort().tolist():
        opaque = OPAQUE * scores[number]
        colour = torch.tensor(_colour(number))[:, None]
        painted[:, masks[number]] = (1 - opaque) * painted[:, masks[number]] + opaque * colour
    pixels = (painted * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    boxes = objects["boxes"].float().cpu()
    return {"epoch": epoch, "image": pixels, "boxes": boxes, "labels": labels, "scores": scores}


def draw_strip(panels: Sequence[Panel], class_names: Sequence[str]) -> Figure:
    """Draws panels of one image side by side."""
    height, width = panels[0]["image"].shape[:2]
    tall = WIDTH * height / width
    figure = new_figure(WIDTH * len(panels), tall + CAPTION, arranged=False)
    for place, panel in enumerate(panels):
        axes = figure.add_axes(((place + 0.02) / len(panels), 0.01, 0.96 / len(panels), tall / (tall + CAPTION) - 0.01))
        _draw(axes, panel, class_names)
    return figure


def _draw(axes: Axes, panel: Panel, class_names: Sequence[str]) -> None:
    axes.imshow(panel["image"])
    axes.axis("off")
    room = 0.05 * panel["image"].shape[1]  # that a name needs above its box: panels are equally wide
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


@runtime_checkable
class Detects(Protocol):
    """A module that finds objects in images."""

    class_names: Sequence[str]

    def detect(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Returns `boxes`, `labels`, `scores` and `masks` of what is in each image, as evaluation finds it."""
        ...


@runtime_checkable
class ServesDetection(Protocol):
    """A datamodule of images with objects in them."""

    train_set: Any
    val_set: Any
    validates: bool

    def image_with_objects(self, part: Literal["train", "val"], position: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns an image of a part, `[3, H, W]` from 0 to 1, and its `DetectionTarget`."""
        ...


class DetectionProgress(Callback):
    """Watches what a detector finds in one image as training goes on; epoch 0 is before any training.

    Before training and after every epoch it runs the model on the image, and logs the number of detections and the
    score of the surest, `val/detections` and `val/top_score`. Detections count from the module's own `min_score` on.
    At the asked epochs all of them are drawn, the surer the more opaque: `figures/detection_progress.png`, a strip that
    begins with the true objects. Checkpoints keep what has been drawn. The weights are those that are trained, also
    where a running mean of them is validated.

    Args:
        epochs: After how many epochs it is drawn.
        image: Position in the validation set; where nothing is validated, in the training set, whose prefix the
            metrics then have.

    Raises:
        ValueError: If an epoch or the position is negative, or there is no such image.
        TypeError: If the module finds no objects, or the datamodule has none.
    """

    def __init__(self, epochs: Sequence[int] = (0, 1, 3, 10, 20, 100), image: int = 0) -> None:
        if not epochs or min(epochs) < 0:
            raise ValueError(f"DetectionProgress.epochs: {list(epochs)}; give some of at least 0, such as [0, 1, 10]")
        if image < 0:
            raise ValueError(f"DetectionProgress.image: {image} is negative; give a position in the validation set")
        self.epochs, self.image = sorted(set(epochs)), image
        self.panels: list[Panel] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses what finds no objects, and an image that is not there."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, Detects):
            raise TypeError(
                f"DetectionProgress watches detections, but {type(pl_module).__name__} has no detect: remove the "
                "callback or choose a MaskRCNNSegmenter"
            )
        if stage == "fit":
            self.panels = []
            if not isinstance(datamodule, ServesDetection):
                raise TypeError(
                    f"DetectionProgress watches an image with objects, but {type(datamodule).__name__} serves none: "
                    "remove the callback or choose a SegmentationDataModule"
                )
            self._part: Literal["train", "val"] = "val" if datamodule.validates else "train"
            there = len(getattr(datamodule, f"{self._part}_set"))
            if self.image >= there:
                raise ValueError(
                    f"DetectionProgress.image: {self.image}, but there are {there} to watch ({self._part}); give 0 "
                    f"to {there - 1}"
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks before any training."""
        if trainer.global_step == 0:
            found = self._look(trainer, pl_module, 0)
            for logger in trainer.loggers:
                logger.log_metrics({f"{self._part}/{name}": value for name, value in found.items()}, step=0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks after an epoch."""
        for name, value in self._look(trainer, pl_module, trainer.current_epoch + 1).items():
            # Every process looks at the same image; `sync_dist` only tells Lightning that this is known.
            pl_module.log(f"{self._part}/{name}", value, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """Returns what has been drawn."""
        return {"panels": self.panels}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self.panels = list(state_dict["panels"])

    def _look(self, trainer: Trainer, module: LightningModule, epoch: int) -> dict[str, float]:
        run_folder = run_folder_of(trainer)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        image, objects = datamodule.image_with_objects(self._part, self.image)
        assert isinstance(module, Detects)
        with trainer.precision_plugin.forward_context():
            (found,) = module.detect([image.to(module.device)])
        if epoch in self.epochs:
            if not self.panels:
                self.panels.append(panel_of(None, image, objects))
            self.panels.append(panel_of(epoch, image, found))
            publish_figure(trainer, "detection_progress", draw_strip(self.panels, module.class_names), run_folder)
        scores = found["scores"]
        return {"detections": float(len(scores)), "top_score": float(scores.max()) if len(scores) else 0.0}
