from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from callbacks.classified_tests import ClassifiedTestFigure
from callbacks.picture_rows import Captioned, draw_picture_rows, in_rows
from datamodules.batch import UNKNOWN

COLUMNS = 6


@runtime_checkable
class ShowsTestPictures(Protocol):
    """A datamodule that can show test samples."""

    def test_pictures(self, index: Tensor) -> Tensor:
        """Returns the pictures of test samples as they are in the file, uint8 `[n, C, H, W]`."""
        ...


class PredictionGrid(ClassifiedTestFigure):
    """Draws test pictures with their predicted names; wrong ones are marked red and carry the true name too.

    Args:
        count: How many pictures.
        show: `spread` shows some from all over the test set; `mistakes` the wrong ones that the model was surest of.

    Raises:
        ValueError: If `count` is below 1, or `show` is neither.
    """

    def __init__(self, count: int = 36, show: Literal["spread", "mistakes"] = "spread") -> None:
        super().__init__("predictions" if show == "spread" else "mistakes")
        if count < 1:
            raise ValueError(f"PredictionGrid.count: {count} pictures; give at least 1")
        if show not in ("spread", "mistakes"):
            raise ValueError(f"PredictionGrid.show: {show!r} is neither 'spread' nor 'mistakes'")
        self.count = count
        self.show = show

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a datamodule without pictures, and a module that does not classify.

        Raises:
            TypeError: If the datamodule has no `test_pictures`, or the module no `class_names`.
        """
        super().setup(trainer, pl_module, stage)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(datamodule, ShowsTestPictures):
            raise TypeError(
                f"PredictionGrid shows pictures, but {type(datamodule).__name__} has no test_pictures: remove the "
                "callback or choose a datamodule of pictures"
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
        for sample, picture, unknown_name in zip(
            chosen.tolist(), datamodule.test_pictures(index), unknown_names, strict=True
        ):
            caption, colour = class_names[int(predicted[sample])], "black"
            if wrong[sample]:
                target = int(outputs["target"][sample])
                caption += f"\ntrue {f'{unknown_name}, unknown' if target == UNKNOWN else class_names[target]}"
                colour = "tab:red"
            cells.append(Captioned(picture, caption, colour))
        return draw_picture_rows(in_rows(cells, COLUMNS), _heading(wrong, outputs["target"] == UNKNOWN), COLUMNS)


def _heading(wrong: Tensor, unknown: Tensor) -> str:
    known = int((~unknown).sum())
    heading = f"predicted classes; {int((wrong & ~unknown).sum()):,} of {known:,} test pictures wrong"
    return f"{heading}, {int(unknown.sum()):,} of unknown classes" if unknown.any() else heading
