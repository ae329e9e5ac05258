from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.files import run_folder_of, shown, write_csv
from litzoo.callbacks.reporting.classification import NamesClasses
from litzoo.callbacks.samples import file_column
from litzoo.datamodules.batch import UNKNOWN
from litzoo.lit_modules.metrics import DetectionOutputs, EpochOutputs, mask_areas


class PredictionsCSV(Callback):
    """Writes `predictions.csv` into the run folder: index, prediction and, for classes, confidence and class name.

    Of a detector it has a row for each object found: the image's index, class name, score, box and area of the mask.
    Where samples are files, `file` names them.

    With an `UnknownClassDetector` before it, `unknown_score` too, and where that is too high -1 and `unknown`.
    """

    def __init__(self) -> None:
        self._outputs: EpochOutputs | DetectionOutputs | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew, whatever an interrupted prediction has left."""
        self._outputs = None

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what the predict step returned."""
        if self._outputs is None and "detections" in outputs:
            self._outputs = DetectionOutputs()
        if self._outputs is None:
            self._outputs = EpochOutputs(
                *(name for name in ("prediction", "confidence", "unknown_score") if name in outputs)
            )
        self._outputs.update(outputs)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers from all processes and writes on the first one."""
        run_folder = run_folder_of(trainer)
        if self._outputs is None:
            return
        detects = isinstance(self._outputs, DetectionOutputs)
        gathered: dict[Any, Any] = self._outputs.gather()
        self._outputs = None
        if not trainer.is_global_zero:
            return
        columns: dict[str, list[Any]] = (
            detection_columns(gathered, pl_module)
            if detects
            else {
                name: [f"{value:.6g}" for value in values.tolist()] if values.is_floating_point() else values.tolist()
                for name, values in gathered.items()
            }
        )
        if not detects and isinstance(pl_module, NamesClasses):
            names = {UNKNOWN: "unknown", **dict(enumerate(pl_module.class_names))}
            columns["class_name"] = [names[label] for label in columns["prediction"]]
        index = torch.tensor(columns["index"], dtype=torch.int64)
        columns = {"index": columns["index"], **file_column(trainer.datamodule, "predict", index), **columns}  # type: ignore[attr-defined]
        path = run_folder / "predictions.csv"
        write_csv(path, columns)
        print(f"{len(columns['index'])} predictions in {shown(path)}")


def detection_columns(images: dict[int, Any], module: Any) -> dict[str, list[Any]]:
    """Returns the columns of a table of detections, the surest of each image first.

    Args:
        images: Index -> what was found, as `DetectionOutputs` gathers it.
        module: Knows the names of the classes.
    """
    columns: dict[str, list[Any]] = {
        name: [] for name in ("index", "class_name", "score", "x0", "y0", "x1", "y1", "area")
    }
    for index, image in images.items():
        found = image["found"]
        columns["index"] += [index] * len(found["labels"])
        columns["class_name"] += [module.class_names[label - 1] for label in found["labels"].tolist()]
        columns["score"] += [f"{score:.6g}" for score in found["scores"].tolist()]
        for name, values in zip(("x0", "y0", "x1", "y1"), found["boxes"].unbind(1), strict=True):
            columns[name] += [f"{value:.2f}" for value in values.tolist()]
        columns["area"] += mask_areas(found)
    return columns
