from collections.abc import Sequence

from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from callbacks.classified_tests import ClassifiedTestFigure
from callbacks.figures import new_figure
from datamodules.batch import UNKNOWN


class ConfusionMatrixFigure(ClassifiedTestFigure):
    """Draws how many test samples of each true class (rows) were called what (columns).

    Colours show shares of the true class, so that rare classes are as visible as frequent ones; numbers are counts.
    """

    def __init__(self) -> None:
        super().__init__("confusion_matrix")

    def draw(self, trainer: Trainer, class_names: Sequence[str], outputs: dict[str, Tensor]) -> Figure:
        """Draws the matrix; samples of unknown classes have no row and are left out."""
        classes = len(class_names)
        known = outputs["target"] != UNKNOWN
        counts = multiclass_confusion_matrix(outputs["logits"][known], outputs["target"][known], classes)
        shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        side = max(4.5, 1.6 + 0.52 * classes)
        figure = new_figure(side + 0.8, side)
        panel = figure.subplots()
        image = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        figure.colorbar(image, ax=panel, label="share of the true class", shrink=0.8)
        panel.set(title="test set", xlabel="predicted", ylabel="true")
        panel.set_xticks(range(classes), class_names, rotation=45, ha="right")
        panel.set_yticks(range(classes), class_names)
        if classes <= 20:
            for row in range(classes):
                for column in range(classes):
                    if count := int(counts[row, column]):
                        colour = "white" if shares[row, column] > 0.5 else "black"
                        panel.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
        return figure
