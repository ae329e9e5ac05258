"""The objects found in the first images of a prediction."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.contracts import DetectsObjects
from litzoo.callbacks.files import display_path, run_folder_of
from litzoo.callbacks.reporting._predicted_input import name_of_prediction
from litzoo.callbacks.reporting.detection import Panel, draw_strip, make_panel, require_detector
from litzoo.callbacks.reporting.figures import publish_figure
from litzoo.callbacks.samples import file_column
from litzoo.datamodules.counted import counted
from litzoo.lit_modules.metrics import gathered

_COLUMNS, _PANEL_WIDTH = 3, 3.6
"""Images in a row, and their width in inches."""
_LONGEST_NAME = 45
"""Characters of a file's name above its image."""


class DetectionGrid(Callback):
    """Draws masks, boxes and scores of the objects that `predict` finds in the first images: `figures/detections.png`.

    The more opaque an object, the higher its score. An image with few objects has their scores too. For new samples,
    such as `data.predict_folder: new`, the file is `detections_new.png`. The heading says how many images are left out.

    Args:
        count: Number of images drawn, the first ones.

    Raises:
        ValueError: If `count` is less than 1.
        TypeError: If the module is no detector.
    """

    def __init__(self, count: int = 12) -> None:
        if count < 1:
            raise ValueError(f"DetectionGrid.count: {count} images; give at least 1")
        self.count = count
        self._panels: dict[int, Panel] = {}
        self._seen: dict[int, None] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks the module."""
        require_detector(self, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discards the images of an interrupted prediction."""
        self._panels, self._seen = {}, {}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first images, with their objects painted on them, and the indices of all."""
        if not isinstance(outputs, Mapping) or "detections" not in outputs:
            return
        for place, index in enumerate(outputs["index"].tolist()):
            self._seen[index] = None
            # Each process gets its images in order: the first ones of all are among the first ones of each.
            if len(self._panels) < self.count:
                self._panels[index] = make_panel(0, batch["input"][place], outputs["detections"][place])

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers the images of all processes; rank 0 draws."""
        run_folder = run_folder_of(trainer)
        panels, total = gathered(self._panels), len(gathered(self._seen))
        self._panels, self._seen = {}, {}
        if not (trainer.is_global_zero and panels):
            return
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        drawn = dict(list(panels.items())[: self.count])
        files = file_column(datamodule, "predict", torch.tensor(list(drawn))).get("file", [])
        for place, (index, panel) in enumerate(drawn.items()):
            panel["name"] = files[place][-_LONGEST_NAME:] if files else f"image {index}"
        lowest = getattr(pl_module, "hparams", {}).get("min_score")
        heading = f"the first {len(drawn)} of {total} images" if len(drawn) < total else "all images"
        heading += "" if lowest is None else f"; objects with a score of at least {lowest:g} (min_score)"
        assert isinstance(pl_module, DetectsObjects)
        columns = min(_COLUMNS, len(drawn))
        figure = draw_strip(list(drawn.values()), pl_module.class_names, columns, _PANEL_WIDTH, heading)
        name = name_of_prediction(run_folder, datamodule, "detections")
        publish_figure(trainer, name, figure, run_folder)
        path = display_path(run_folder / "figures" / f"{name}.png")
        print(f"The objects in {len(drawn)} of {counted(total, 'image')} are drawn in {path}")
