from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.figures import Captioned, draw_image_rows, in_rows, new_figure, publish_figure
from litzoo.datamodules.batch import UNKNOWN
from litzoo.lit_modules.metrics import EpochOutputs


@runtime_checkable
class NamesClasses(Protocol):
    """A module that knows the names of its classes, in the order of its logits."""

    class_names: Sequence[str]


class ClassifiedTestFigure(Callback, ABC):
    """Draws one figure from the logits and targets of a whole test; base of callbacks that do so.

    Args:
        name: Of the figure.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._outputs = EpochOutputs("logits", "target")

    @abstractmethod
    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws `logits` `[N, K]`, `target` `[N]` and `index` `[N]`: every test sample once, in order."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a module that does not classify.

        Raises:
            TypeError: If the module has no `class_names`.
        """
        require_class_names(self, "draws classes", pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew, whatever an interrupted test has left."""
        self._outputs.reset()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what the test step returned."""
        self._outputs.update(outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers from all processes, draws and publishes on the first one."""
        run_folder = run_folder_of(trainer)
        outputs = {name: values.cpu() for name, values in self._outputs.gather().items()}
        if trainer.is_global_zero:
            assert isinstance(pl_module, NamesClasses)
            publish_figure(trainer, self.name, self.draw(trainer, pl_module.class_names, outputs), run_folder)


def require_class_names(callback: Callback, purpose: str, module: LightningModule) -> None:
    """Refuses a module that does not classify.

    Raises:
        TypeError: If the module has no `class_names`; the message says what the callback needs them for.
    """
    if not isinstance(module, NamesClasses):
        raise TypeError(
            f"{type(callback).__name__} {purpose}, but {type(module).__name__} has no class_names: remove the callback "
            "or choose a classifier"
        )


class ConfusionMatrixFigure(ClassifiedTestFigure):
    """Draws how many test samples of each true class (rows) were called what (columns).

    Colours show fractions of the true class, so that rare classes are as visible as frequent ones; numbers are counts.
    """

    def __init__(self) -> None:
        super().__init__("confusion_matrix")

    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws the matrix; samples of unknown classes have no row and are left out."""
        classes = len(class_names)
        known = outputs["target"] != UNKNOWN
        counts = multiclass_confusion_matrix(outputs["logits"][known], outputs["target"][known], classes)
        fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        side = max(4.5, 1.6 + 0.52 * classes)
        figure = new_figure(side + 0.8, side)
        panel = figure.subplots()
        image = panel.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        figure.colorbar(image, ax=panel, label="fraction of the true class", shrink=0.8)
        panel.set(title="test set", xlabel="predicted", ylabel="true")
        panel.set_xticks(range(classes), class_names, rotation=45, ha="right")
        panel.set_yticks(range(classes), class_names)
        if classes <= 20:
            for row in range(classes):
                for column in range(classes):
                    if count := int(counts[row, column]):
                        colour = "white" if fractions[row, column] > 0.5 else "black"
                        panel.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
        return figure


COLUMNS = 6


@runtime_checkable
class ShowsTestImages(Protocol):
    """A datamodule that can show test samples."""

    def test_images(self, index: Tensor) -> Tensor:
        """Returns the images of test samples as they are in the file, uint8 `[n, C, H, W]`."""
        ...


class PredictionGrid(ClassifiedTestFigure):
    """Draws test images with their predicted names; wrong ones are marked red and carry the true name too.

    Args:
        count: How many images.
        show: `spread` shows some from all over the test set; `mistakes` the wrong ones that the model was surest of.

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
        """Refuses a datamodule without images, and a module that does not classify.

        Raises:
            TypeError: If the datamodule has no `test_images`, or the module no `class_names`.
        """
        super().setup(trainer, pl_module, stage)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(datamodule, ShowsTestImages):
            raise TypeError(
                f"PredictionGrid shows images, but {type(datamodule).__name__} has no test_images: remove the "
                "callback or choose a datamodule of images"
            )

    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws the grid."""
        confidence, predicted = outputs["logits"].softmax(dim=1).max(dim=1)
        wrong = predicted != outputs["target"]
        if self.show == "mistakes":
            chosen = torch.where(wrong, confidence, -1.0).argsort(descending=True)[: min(self.count, int(wrong.sum()))]
        else:
            shown = min(self.count, len(predicted))
            chosen = torch.arange(shown) * len(predicted) // shown  # a test set may be sorted by its classes
        index = outputs["index"][chosen]
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        unknown_names = getattr(datamodule, "true_class_names", lambda index: ["unknown"] * len(index))(index)
        cells = []
        for sample, image, unknown_name in zip(
            chosen.tolist(), datamodule.test_images(index), unknown_names, strict=True
        ):
            caption, colour = class_names[int(predicted[sample])], "black"
            if wrong[sample]:
                target = int(outputs["target"][sample])
                caption += f"\ntrue {f'{unknown_name}, unknown' if target == UNKNOWN else class_names[target]}"
                colour = "tab:red"
            cells.append(Captioned(image, caption, colour))
        return draw_image_rows(in_rows(cells, COLUMNS), _heading(wrong, outputs["target"] == UNKNOWN), COLUMNS)


def _heading(wrong: Tensor, unknown: Tensor) -> str:
    known = int((~unknown).sum())
    heading = f"predicted classes; {int((wrong & ~unknown).sum()):,} of {known:,} test images wrong"
    return f"{heading}, {int(unknown.sum()):,} of unknown classes" if unknown.any() else heading
