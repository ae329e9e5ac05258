"""The features of the test samples for TensorBoard's Projector, with class, prediction, score and image of each."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.plugins import projector
from torch import Tensor
from torch.nn.functional import interpolate

from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.callbacks.contracts import HasClassNames, HasTestImages, PredictsLogits, require_class_names
from litzoo.callbacks.files import atomic_write
from litzoo.callbacks.samples import file_column
from litzoo.datamodules.batch import UNKNOWN
from litzoo.datamodules.tables.naming import apart

_DEFAULT_MAX_SAMPLES = 5000
_MAX_DIMENSIONS = 64
_THUMBNAIL = 32
"""Largest width of an image in the projector, in pixels."""


class Projector(CollectsTestOutputs):
    """Writes the features of the test samples for TensorBoard's *Projector* tab, which shows them in 2 or 3 dimensions.

    Each sample has its position in the test set, true class, prediction, whether that is right, and with an
    `UnknownClassDetector` its unknown score, to colour and search by; images are drawn as points. The files are in
    `projector/` in the run folder. Features with more than 64 dimensions are reduced to their first 64 principal
    components. Nothing is written without a `TensorBoardLogger`, or for a network without `features(x)` and `head`.

    Args:
        max_samples: Number of samples, evenly spaced over the test set. By default all samples of a test of at most
            5,000, and nothing for a larger one.

    Raises:
        ValueError: If `max_samples` is below 2.
        TypeError: If the module has no `class_names`.
    """

    def __init__(self, max_samples: int | None = None) -> None:
        if max_samples is not None and max_samples < 2:
            raise ValueError(f"Projector.max_samples: {max_samples}; give at least 2, or leave the callback out")
        super().__init__("features", "logits", "target")
        self.max_samples = max_samples
        self._active = False
        self._kept_features: bool | None = None  # what the module's attribute was, while it is changed
        self._collected: dict[str, Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Makes the module return features in a test."""
        require_class_names(self, "shows classes", pl_module)
        self._active = stage == "test" and self._is_possible(trainer, pl_module)
        if self._active:
            self._kept_features = pl_module.keeps_features  # type: ignore[assignment]
            pl_module.keeps_features = True  # type: ignore[assignment]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restores the module."""
        if self._kept_features is not None:
            pl_module.keeps_features = self._kept_features  # type: ignore[assignment]
            self._kept_features = None

    def collected(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], batch: Any
    ) -> dict[str, Tensor] | None:
        """Returns the outputs of the step; a module of others may return no features in a test."""
        self._active = self._active and all(name in outputs for name in self.tested.names)
        return outputs if self._active else None

    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Keeps the outputs for the end of the test."""
        self._collected = {name: values.cpu() for name, values in outputs.items()}

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the files on rank 0, when other callbacks have computed their scores."""
        outputs, self._collected = self._collected, {}
        if not outputs or not trainer.is_global_zero or len(outputs["index"]) < 2:
            return
        if not bool(outputs["features"].isfinite().all()):  # of a model with weights that are not; its metrics say so
            return
        assert isinstance(pl_module, HasClassNames)
        count = len(outputs["index"])
        shown = min(count, self.max_samples or count)
        chosen = torch.arange(shown) * count // shown
        columns = _columns(trainer, pl_module.class_names, outputs)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        has_images = isinstance(datamodule, HasTestImages)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                write_projector(
                    Path(logger.log_dir),
                    outputs["features"][chosen],
                    {name: [values[row] for row in chosen.tolist()] for name, values in columns.items()},
                    datamodule.test_images(outputs["index"][chosen]) if has_images else None,
                )

    def _is_possible(self, trainer: Trainer, module: LightningModule) -> bool:
        samples = getattr(trainer.datamodule, "test_set", None)  # type: ignore[attr-defined]
        net = getattr(module, "net", None)
        return (
            any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers)
            and isinstance(module, PredictsLogits)
            and hasattr(net, "features")
            and hasattr(net, "head")
            and samples is not None
            and (self.max_samples is not None or len(samples) <= _DEFAULT_MAX_SAMPLES)
        )


def write_projector(
    folder: Path, features: Tensor, columns: dict[str, Sequence[object]], images: Sequence[Tensor] | Tensor | None
) -> None:
    """Writes what TensorBoard's projector reads: vectors, a table, a sprite, and their configuration.

    Args:
        folder: The folder of the event file.
        features: `[N, D]`.
        columns: Name -> N values of the table.
        images: uint8 `[N, C, H, W]`, with one or three channels; None without images.
    """
    place = folder / "projector"
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "test features"
    embedding.tensor_path = "projector/features.tsv"
    embedding.metadata_path = "projector/samples.tsv"
    vectors = principal_components(features.float().flatten(1), _MAX_DIMENSIONS).numpy()
    with atomic_write(place / "features.tsv") as temporary:
        np.savetxt(temporary, vectors, fmt="%.5g", delimiter="\t")
    rows = [columns, *zip(*columns.values(), strict=True)]
    text = "\n".join("\t".join(" ".join(str(cell).split()) for cell in row) for row in rows)
    with atomic_write(place / "samples.tsv") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    if images is not None:
        sprite, side = _sprite(images)
        embedding.sprite.image_path = "projector/images.png"
        embedding.sprite.single_image_dim.extend([side, side])
        with atomic_write(place / "images.png") as temporary:
            sprite.save(temporary, format="PNG")
    projector.visualize_embeddings(str(folder), config)


def principal_components(features: Tensor, count: int) -> Tensor:
    """Returns features `[N, D]` unchanged if D is at most `count`, else the first principal components `[N, count]`."""
    if features.shape[1] <= count:
        return features
    centred = features - features.mean(dim=0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:count].T


def _columns(trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> dict[str, list[Any]]:
    """Returns the table of all test samples."""
    target, predicted = outputs["target"], outputs["logits"].argmax(dim=1)
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    names = [class_names[label] if label != UNKNOWN else "unknown" for label in target.tolist()]
    if hasattr(datamodule, "true_class_names"):
        names = datamodule.true_class_names(outputs["index"])
    verdicts = ["right" if right else "wrong" for right in (target == predicted).tolist()]
    samples = file_column(datamodule, "test", outputs["index"])
    columns: dict[str, list[Any]] = {
        "class": names,
        "prediction": [class_names[label] for label in predicted.tolist()],
        "result": [
            "unknown class" if label == UNKNOWN else verdict
            for label, verdict in zip(target.tolist(), verdicts, strict=True)
        ],
    }
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        scores = getattr(callback, "test_scores", None)
        if isinstance(scores, Tensor) and len(scores) == len(target):
            columns["unknown_score"] = [f"{score:.5g}" for score in scores.tolist()]
    index = {"index": outputs["index"].tolist()}
    return index | apart(samples, {*index, *columns}, "the projector") | columns


def _sprite(images: Sequence[Tensor] | Tensor) -> tuple[Image.Image, int]:
    """Returns all images in one, row by row in a square grid, and the width of each in pixels."""
    side = min(_THUMBNAIL, max(max(image.shape[-2:]) for image in images))
    columns = math.ceil(math.sqrt(len(images)))
    sheet = np.zeros((columns * side, columns * side, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        small = interpolate(image[None].float(), size=(side, side), mode="bilinear", antialias=True)[0]
        pixels = small.round().clamp(0, 255).byte().permute(1, 2, 0).expand(-1, -1, 3)
        row, column = divmod(number, columns)
        sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = pixels.numpy()
    return Image.fromarray(sheet), side
