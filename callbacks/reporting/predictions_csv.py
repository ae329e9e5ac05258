import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.contracts import HasClassNames
from litzoo.callbacks.files import display_path, run_folder_of, write_csv, write_json
from litzoo.callbacks.plain_modules import collect, reading
from litzoo.callbacks.reporting._predicted_input import name_of_prediction
from litzoo.callbacks.samples import file_column
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.tables.naming import apart
from litzoo.lit_modules.metrics import DetectionOutputs, EpochOutputs, mask_areas

_SET = "prediction_set"
_COLUMNS = ("prediction", "confidence", "unknown_score", _SET, "lower", "upper")


class PredictionsCSV(Callback):
    """Writes `predictions.csv` into the run folder: index, prediction and, for a classifier, confidence and class name.

    Outputs `[B, K]` of a module with K class names have a column for each class; others, such as masks, are not
    written. For a detector there is one row per detected object: index of the image, class name, score, box and mask
    area; `detections.json` has the masks too, in COCO's format of results. If samples are files, the column `file`
    names them; for the rows of a table there are `row` and its identifiers, such as `index_in_file` if their name is
    that of a column here. For new samples, such as `data.predict_folder: new`, the files are `predictions_new.csv` and
    `detections_new.json`; those of the test set stay.

    An `UnknownClassDetector` before it adds `unknown_score`; above the threshold the prediction is -1, `unknown`.
    `PredictionSets` adds `prediction_set`, class names joined by `|`; `PredictionIntervals` adds `lower` and `upper`.
    """

    def __init__(self) -> None:
        self._outputs: EpochOutputs | DetectionOutputs | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discards the outputs of an interrupted prediction."""
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
        """Collects the outputs of a predict step."""
        if not isinstance(outputs, Mapping):
            return
        if self._outputs is None and "detections" in outputs:
            self._outputs = DetectionOutputs()
        if self._outputs is None:
            names = [name for name in _COLUMNS if name in outputs and _fits_table(outputs[name], pl_module)]
            if not names:
                return
            self._outputs = EpochOutputs(*names)
        if isinstance(self._outputs, DetectionOutputs):
            self._outputs.update(outputs)
        else:
            collect(self._outputs, trainer, reading(self, pl_module, "predict_step"), outputs, batch, dataloader_idx)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers the outputs of all processes; rank 0 writes the file."""
        run_folder = run_folder_of(trainer)
        if self._outputs is None:
            return
        detects = isinstance(self._outputs, DetectionOutputs)
        outputs: dict[Any, Any] = self._outputs.gather()
        self._outputs = None
        if not trainer.is_global_zero:
            return
        columns = _detection_columns(outputs, pl_module) if detects else prediction_columns(outputs, pl_module)
        index = torch.tensor(columns["index"], dtype=torch.int64)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        path = run_folder / f"{name_of_prediction(run_folder, datamodule, 'predictions')}.csv"
        names = apart(file_column(datamodule, "predict", index), columns, path.name)
        columns = {"index": columns["index"], **names, **columns}
        write_csv(path, columns)
        if detects:
            name = name_of_prediction(run_folder, datamodule, "detections")
            write_json(run_folder / f"{name}.json", _coco_results(outputs, columns))
        print(f"{len(columns['index'])} predictions in {display_path(path)}")
        if "class_name" in columns and not detects and (note := label_note(pl_module.class_names)):  # type: ignore[arg-type]
            print(note)


def _fits_table(values: torch.Tensor, module: LightningModule) -> bool:
    """Whether an output is a number per sample, or one per sample and class."""
    return values.ndim == 1 or (
        values.ndim == 2 and isinstance(module, HasClassNames) and values.shape[1] == len(module.class_names)
    )


def prediction_columns(outputs: dict[str, Any], module: Any) -> dict[str, list[Any]]:
    """Returns the columns of a table of predictions, one row per sample.

    Args:
        outputs: Name -> tensor `[N]` or `[N, K]`.
        module: Its class names are used if it has any.
    """
    single: dict[str, torch.Tensor] = {}
    for name, values in outputs.items():
        if values.ndim == 1:
            single[name] = values
        elif name != _SET:
            single |= {f"{name}/{each}": column for each, column in zip(module.class_names, values.T, strict=True)}
    columns = {name: number_cells(name, values) for name, values in single.items()}
    if isinstance(module, HasClassNames) and "prediction" in single:
        names = {UNKNOWN: "unknown", **dict(enumerate(module.class_names))}
        columns["class_name"] = [names[label] for label in columns["prediction"]]
    if _SET in outputs:
        columns[_SET] = joined_names(outputs[_SET], module.class_names)
    return columns


def label_note(class_names: Sequence[str]) -> str:
    """Returns a line for predictions of classes whose names are other numbers than their positions; else nothing.

    Args:
        class_names: Names of the K classes.
    """
    try:
        numbers = [float(name) for name in class_names]
    except ValueError:
        return ""
    different = [label for label, number in enumerate(numbers) if label != number]
    if not different:
        return ""
    return (
        "The column prediction counts the classes from 0, class_name has the label: prediction "
        f"{different[0]} is the class {class_names[different[0]]}"
    )


def number_cells(name: str, values: torch.Tensor) -> list[Any]:
    """Returns numbers `[N]` as the cells of a column.

    Probabilities have six digits; other floats, which are in the units of the data, as many as bring the same number
    back: six would be too few for intervals of small width around large numbers.
    """
    if not values.is_floating_point():
        return values.tolist()
    if name == "confidence" or name.startswith(("confidence/", "probability/")):
        return [f"{value:.6g}" for value in values.tolist()]
    return [text_of(value) for value in values.tolist()]


def text_of(value: float) -> str:
    """Returns the shortest text of a number that brings the same float32 back, as `1000262.8`."""
    number = np.float32(value)
    plain = number == 0 or 1e-4 <= abs(number) < 1e16
    return np.format_float_positional(number, trim="-") if plain else str(number)


def joined_names(sets: torch.Tensor, class_names: Sequence[str]) -> list[str]:
    """Returns the class names in each set, bool `[N, K]`, as a cell of a table: `cat|dog`.

    A name with `|` or quotes is quoted as in CSV, so that `csv.reader([cell], delimiter="|")` returns the names.
    """
    cells = []
    for row in sets.tolist():
        cell = io.StringIO()
        csv.writer(cell, delimiter="|", lineterminator="").writerow(
            [name for name, held in zip(class_names, row, strict=True) if held]
        )
        cells.append(cell.getvalue())
    return cells


def _detection_columns(images: dict[int, Any], module: Any) -> dict[str, list[Any]]:
    """Returns the columns of a table of detections, one row per object, highest score first.

    Args:
        images: Index -> the image's detections, as gathered by `DetectionOutputs`.
        module: The detector, with `class_names`.
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


def _coco_results(images: dict[int, Any], columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Returns the detections as COCO's `loadRes` reads them: boxes as x, y, width, height, masks run-length encoded.

    Args:
        images: Index -> the image's detections, as gathered by `DetectionOutputs`.
        columns: The table of the same detections, in the same order; its class names and files are added.
    """
    results: list[dict[str, Any]] = []
    for index, image in images.items():
        found = image["found"]
        corners = found["boxes"].double()
        boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1).tolist()
        objects = zip(found["labels"].tolist(), boxes, found["scores"].tolist(), found["masks"], strict=True)
        results += [
            {
                "image_id": index,
                "category_id": label,
                "bbox": [round(each, 2) for each in box],
                "score": round(score, 6),
                "segmentation": {"size": list(mask["size"]), "counts": mask["counts"].decode("ascii")},
            }
            for label, box, score, mask in objects
        ]
    named = [name for name in ("file", "class_name") if name in columns]
    return [each | {name: columns[name][row] for name in named} for row, each in enumerate(results)]
