"""Figures of a classifier's test: confusion matrix and predicted images."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.callbacks.contracts import HasClassNames, HasTestImages, require_class_names
from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.figures import (
    CARD_COLUMNS,
    CARD_IMAGES,
    CARD_WIDTH,
    CaptionedImage,
    draw_image_rows,
    new_figure,
    publish_figure,
    split_into_rows,
)
from litzoo.datamodules.batch import UNKNOWN

_GRID_COLUMNS = 6
_MAX_CLASSES_WITH_COUNTS = 20
_CARD_CLASSES = 12
"""Number of classes that are legible on a card of TensorBoard."""


class _TestFigure(CollectsTestOutputs):
    """Draws one figure from the logits and targets of a whole test.

    Args:
        name: Name of the figure.
    """

    def __init__(self, name: str) -> None:
        super().__init__("logits", "target")
        self.name = name

    @abstractmethod
    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws the figure.

        Args:
            trainer: The trainer that tests.
            class_names: K names.
            outputs: `logits` `[N, K]`, `target` int64 `[N]` and `index` int64 `[N]` of all test samples, in order.
        """

    def draw_card(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure | None:
        """Draws the figure for a card of TensorBoard; None if it is the same."""
        return None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that the module is a classifier.

        Raises:
            TypeError: If the module has no `class_names`.
        """
        require_class_names(self, "draws classes", pl_module)

    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Draws and publishes the figure on rank 0."""
        run_folder = run_folder_of(trainer)
        outputs = {name: values.cpu() for name, values in outputs.items()}
        if trainer.is_global_zero:
            assert isinstance(pl_module, HasClassNames)
            drawn = [draw(trainer, pl_module.class_names, outputs) for draw in (self.draw, self.draw_card)]
            assert drawn[0] is not None
            publish_figure(trainer, self.name, drawn[0], run_folder, card=drawn[1])


class ConfusionMatrixFigure(_TestFigure):
    """Draws the confusion matrix of the test: true classes in rows, predicted classes in columns.

    Colours show the fraction of the true class, so that rare classes are as visible as frequent ones; numbers are
    counts.
    """

    def __init__(self) -> None:
        super().__init__("confusion_matrix")

    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws the matrix, without the samples of unknown classes."""
        side = max(4.5, 1.6 + 0.52 * len(class_names))
        return self._draw(class_names, outputs, side, has_colours=True)

    def draw_card(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure | None:
        """Draws few classes without the scale of the colours."""
        few = len(class_names) <= _CARD_CLASSES
        return self._draw(class_names, outputs, CARD_WIDTH, has_colours=False) if few else None

    def _draw(self, class_names: Sequence[str], outputs: dict[str, Tensor], side: float, has_colours: bool) -> Figure:
        classes = len(class_names)
        known = outputs["target"] != UNKNOWN
        counts = multiclass_confusion_matrix(outputs["logits"][known], outputs["target"][known], classes)
        fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        figure = new_figure(side + 0.8 * has_colours, side)
        panel = figure.subplots()
        image = panel.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        if has_colours:
            figure.colorbar(image, ax=panel, label="fraction of the true class", shrink=0.8)
        panel.set(title="test set", xlabel="predicted", ylabel="true")
        panel.set_xticks(range(classes), class_names, rotation=45, ha="right")
        panel.set_yticks(range(classes), class_names)
        if classes <= _MAX_CLASSES_WITH_COUNTS:
            for row in range(classes):
                for column in range(classes):
                    if count := int(counts[row, column]):
                        colour = "white" if fractions[row, column] > 0.5 else "black"
                        panel.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
        return figure


class PredictionGrid(_TestFigure):
    """Draws test images with their predicted class names; wrong predictions are red and also have the true name.

    Args:
        count: Number of images.
        show: `spread` shows images evenly spaced over the test set; `mistakes` shows the most confident wrong ones.

    Raises:
        ValueError: If `count` is below 1, or `show` is neither.
    """

    def __init__(self, count: int = 36, show: Literal["spread", "mistakes"] = "spread") -> None:
        super().__init__("predictions" if show == "spread" else "mistakes")
        if count < 1:
            raise ValueError(f"PredictionGrid.count: {count} images; give at least 1")
        if show not in ("spread", "mistakes"):
            raise ValueError(f"PredictionGrid.show: {show!r} is neither 'spread' nor 'mistakes'")
        self.count = count
        self.show = show

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that the data are images and the module is a classifier.

        Raises:
            TypeError: If the datamodule has no `test_images`, or the module has no `class_names`.
        """
        super().setup(trainer, pl_module, stage)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(datamodule, HasTestImages):
            raise TypeError(
                f"PredictionGrid draws images, but {type(datamodule).__name__} has no test_images: remove the "
                "callback or choose an image datamodule"
            )

    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws the grid."""
        return self._draw(trainer, class_names, outputs, self.count, _GRID_COLUMNS)

    def draw_card(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure | None:
        """Draws a grid of fewer images."""
        return self._draw(trainer, class_names, outputs, min(self.count, CARD_IMAGES), CARD_COLUMNS)

    def _draw(
        self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor], count: int, columns: int
    ) -> Figure:
        confidence, predicted = outputs["logits"].softmax(dim=1).max(dim=1)
        wrong = predicted != outputs["target"]
        if self.show == "mistakes":
            chosen = torch.where(wrong, confidence, -1.0).argsort(descending=True)[: min(count, int(wrong.sum()))]
        else:
            count = min(count, len(predicted))
            chosen = torch.arange(count) * len(predicted) // count  # evenly spaced: test sets may be sorted by class
        index = outputs["index"][chosen]
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        true_names = getattr(datamodule, "true_class_names", lambda index: ["unknown"] * len(index))(index)
        images = []
        for sample, image, true_name in zip(chosen.tolist(), datamodule.test_images(index), true_names, strict=True):
            caption, colour = class_names[int(predicted[sample])], "black"
            if wrong[sample]:
                target = int(outputs["target"][sample])
                caption += f"\ntrue {f'{true_name}, unknown' if target == UNKNOWN else class_names[target]}"
                colour = "tab:red"
            images.append(CaptionedImage(image, caption, colour))
        heading = _heading(wrong, outputs["target"] == UNKNOWN)
        return draw_image_rows(split_into_rows(images, columns), heading, columns)


def _heading(wrong: Tensor, unknown: Tensor) -> str:
    known = int((~unknown).sum())
    heading = f"predicted classes; {int((wrong & ~unknown).sum()):,} of {known:,} test images wrong"
    return f"{heading}, {int(unknown.sum()):,} of unknown classes" if unknown.any() else heading
