"""The whole answer as one torch module: from pixels or table rows to probabilities, "unknown" and values."""

import copy
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from litzoo.callbacks.calibration.intervals import ConformalIntervals
from litzoo.callbacks.calibration.sets import ConformalSets, sets_below
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.datamodules.images.preparation import ImagePreparation, pixel_scaling
from litzoo.datamodules.tables.cells import PLACEHOLDERS
from litzoo.datamodules.tables.columns import BOOLEAN_WORDS
from litzoo.datamodules.tables.dates import PERIODS
from litzoo.datamodules.tables.reading import TableReading
from litzoo.lit_modules.networks.resampling import resize_and_crop
from litzoo.scripts.predict.loading import require_files
from litzoo.scripts.predict.predictor import Predictor

DATE_FEATURES = (
    "days = seconds since 1970-01-01T00:00:00Z / 86400 (without a time zone: UTC), then for each of date_periods, in "
    "days: sin(2 pi days / period), cos(2 pi days / period); all NaN where missing"
)
"""How the numbers of a date are computed, for the metadata."""
CELLS = (
    "names of columns and cells are stripped of spaces at both ends; a number has a decimal point and no separators of "
    "thousands; missing_values are missing in every column, placeholders only in those of numbers, dates and booleans; "
    "a missing word is ''"
)
"""How cells are read, for the metadata."""
BOOLEAN_CELLS = "boolean_words in lower case; NaN where missing"


class Answer(nn.Module):
    """Outputs of a predictor as tensors by name, for prepared inputs; base class of the two below.

    Args:
        predictor: Is copied; the copy computes in float32 on the CPU.
    """

    set_limits: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.module = copy.deepcopy(predictor.module).cpu().requires_grad_(False)
        self.detection = copy.deepcopy(predictor.detection)
        if self.detection is not None:
            if self.detection.score.extras:
                raise ValueError(
                    f"its unknown-class score, {self.detection.score_name}, needs more than one pass through the "
                    "network, which no export holds; train with another score, such as MaxLogit"
                )
            self.detection.to(torch.device("cpu"))
            self.detection.score.freeze()
        sets, intervals = predictor.conformal, predictor.conformal
        self.method = sets.method if isinstance(sets, ConformalSets) else None
        limits = sets.thresholds(len(predictor.class_names)) if isinstance(sets, ConformalSets) else torch.zeros(0)
        self.register_buffer("set_limits", limits.clone(), persistent=False)
        self.margin = intervals.margin if isinstance(intervals, ConformalIntervals) else None
        self.difficulty = intervals.difficulty if isinstance(intervals, ConformalIntervals) else None
        self.threshold = torch.inf if self.detection is None else self.detection.threshold

    def answer(self, x: Tensor) -> dict[str, Tensor]:
        """Returns `probabilities`, `class_index` and, with unknown-class detection, `unknown_score` and `unknown`.

        With prediction sets also `prediction_set`. For a regressor, returns `value`, and with intervals `lower` and
        `upper`, in the target's units.
        """
        outputs: Any = self.module.predict_step({"input": x, "index": torch.zeros(1, dtype=torch.int64)}, 0)
        if "logits" not in outputs:
            value = outputs["prediction"]
            if self.margin is None:
                return {"value": value}
            margin = self.margin if self.difficulty is None else self.margin * self.difficulty(outputs["features"])
            return {"value": value, "lower": value - margin, "upper": value + margin}
        logits = outputs["logits"]
        answer = {"probabilities": logits.softmax(dim=1), "class_index": logits.argmax(dim=1)}
        if self.method is not None:
            answer["prediction_set"] = sets_below(logits, self.set_limits, self.method)
        if self.detection is not None:
            score = self.detection.score(Evidence(logits, outputs.get("features", logits[:, :0])))
            answer["unknown_score"] = score.float()
            answer["unknown"] = (score <= self.threshold).logical_not()  # NaN is unknown
        return answer


class ImageAnswer(Answer):
    """From images, uint8 `[B, C, H, W]` of any one size, to the answer."""

    factor: Tensor
    offset: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor)
        preparation = predictor.preparation
        assert isinstance(preparation, ImagePreparation)
        if preparation.transforms_originals:
            raise ValueError("its eval_transform changes images at their original size, which no export holds")
        self.shape, self.transforms = preparation.shape, preparation.transforms
        factor, offset = pixel_scaling(preparation.mean, preparation.std, torch.device("cpu"))
        self.register_buffer("factor", factor, persistent=False)
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the answer for images, uint8 `[B, C, H, W]`."""
        height, width = self.shape[1:]
        is_resized = (images.shape[2] == height) & (images.shape[3] == width)  # resizing changes nothing, but is slow
        levels = torch.cond(
            is_resized,
            lambda each: each.to(torch.float32),
            lambda each: resize_and_crop(each, height, width),
            (images,),
        ).view(images.shape[0], images.shape[1], height, width)  # which torch does not know of a condition's result
        for transform in self.transforms:
            levels = transform(levels.to(torch.uint8)).to(torch.float32)
        return self.answer(levels * self.factor + self.offset)


class TableAnswer(Answer):
    """From the numbers and category codes of table rows to the answer."""

    medians: Tensor
    means: Tensor
    scales: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor)
        reading = predictor.preparation
        assert isinstance(reading, TableReading)
        self.gaps, self.sizes = reading.gaps, reading.word_features
        for name in ("medians", "means", "scales"):
            values = torch.tensor(getattr(reading, name), dtype=torch.float64)
            self.register_buffer(name, values, persistent=False)

    def forward(self, numbers: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """Returns the answer for rows.

        Args:
            numbers: float64 `[B, A]`, NaN where missing.
            codes: int64 `[B, C]`, the position in each column's vocabulary, -1 for words that are not in it. Pooled
                words are the last ones: they share the last feature.
        """
        parts = []
        if len(self.medians):
            missing = numbers.isnan()
            filled = torch.where(missing, self.medians, numbers)
            everything = torch.cat([filled, missing[:, self.gaps].to(torch.float64)], dim=1)
            parts.append(((everything - self.means) / self.scales).to(torch.float32))
        for position, size in enumerate(self.sizes):
            own = codes[:, position : position + 1].clamp(max=size - 1)
            parts.append((own == torch.arange(size)).to(torch.float32))
        return self.answer(torch.cat(parts, dim=1))


def program_of(predictor: Predictor) -> tuple[Answer, tuple[Tensor, ...], dict[str, Any]]:
    """Returns the module to export, inputs for example (two samples), and its metadata as plain values."""
    preparation = require_files("the checkpoint", predictor.preparation)
    metadata: dict[str, Any] = {"litzoo": version("litzoo"), "class_names": predictor.class_names}
    if predictor.detection is not None:
        metadata["unknown"] = {
            "score": predictor.detection.score_name,
            "threshold": predictor.threshold,
            "acceptance": predictor.detection.acceptance,
        }
    if hasattr(predictor.module, "temperature"):
        metadata["temperature"] = float(predictor.module.temperature)  # type: ignore[arg-type]
    if hasattr(predictor.module, "class_bias"):
        metadata["class_bias"] = predictor.module.class_bias.tolist()  # type: ignore[operator]
    if predictor.conformal is not None:
        metadata["conformal"] = predictor.conformal.options()
    if isinstance(preparation, ImagePreparation):
        channels, height, width = preparation.shape
        metadata["images"] = {
            "channels": "grey" if channels == 1 else "red, green, blue",
            "network_size": [height, width],
            "resize": "antialiased bilinear to cover the network's size, centre crop (as Pillow's ImageOps.fit)",
            "normalisation": {"mean": list(preparation.mean), "std": list(preparation.std)},
            "orientation": "turned upright as EXIF says (as Pillow's ImageOps.exif_transpose)",
            "decoding": preparation.reader.state(),
        }
        example = torch.zeros(2, channels, height + 3, width + 5, dtype=torch.uint8)
        return ImageAnswer(predictor), (example,), metadata
    columns = [column for column in preparation.columns if column.kind != "category"]
    words = [column.name for column in preparation.columns if column.kind == "category"]
    metadata["target"] = preparation.target
    metadata["table"] = {
        "columns": [column.name for column in preparation.columns],
        "cells": CELLS,
        "numbers": [name for column in columns for name in column.value_names],
        "dates": {column.name: column.date_format for column in columns if column.kind == "date"},
        "booleans": {column.name: BOOLEAN_CELLS for column in columns if column.kind == "boolean"},
        "boolean_words": BOOLEAN_WORDS,
        "missing_values": sorted(preparation.format.missing()),
        "placeholders": sorted(PLACEHOLDERS),
        "date_features": DATE_FEATURES,
        "date_periods": {
            column.name: {period: PERIODS[period] for period in column.periods}
            for column in columns
            if column.kind == "date"
        },
        "codes": dict(zip(words, preparation.categories, strict=True)),
    }
    count = len(preparation.medians)
    example_rows = torch.zeros(2, count, dtype=torch.float64), torch.zeros(2, len(words), dtype=torch.int64)
    return TableAnswer(predictor), example_rows, metadata
