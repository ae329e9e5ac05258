"""The metrics of every epoch, and curves of them."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from litzoo.callbacks.checkpoints.best_and_last import starts_new_training
from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.figures import CARD_WIDTH, new_figure, publish_figure

_PANELS_PER_ROW = 5
_CARD_PANELS = 3


class EpochHistory(Callback):
    """Collects the training and validation metrics of every epoch; base class of `TrainingCurves` and `RunSummary`.

    Attributes:
        history: One entry per epoch: `epoch` (from 0) and the value of each `train/...` and `val/...` metric.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._validated = False
        self._previous: dict[str, Tensor] = {}  # metrics of earlier epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the history for a new training; that of a checkpoint is restored later."""
        if starts_new_training(trainer, stage):
            self.history = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the metrics of earlier epochs, which `callback_metrics` keeps until they are logged again."""
        self._validated = False
        self._previous = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Records that this epoch was validated."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds an entry for the epoch."""
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if value is not self._previous.get(name)
            and (name.startswith("train/") or (name.startswith("val/") and self._validated))
        }
        # The learning rate is logged every few steps, so that at the end of an epoch its value is outdated.
        current = {name: value for name, value in metrics.items() if not name.startswith("train/lr")}
        self.history.append({"epoch": trainer.current_epoch, **current})

    def state_dict(self) -> dict[str, Any]:
        """Returns the history, so that a resumed run reports on all epochs."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the history."""
        self.history = list(state_dict["history"])


class TrainingCurves(EpochHistory):
    """Plots loss, accuracy and all other metrics over the epochs, training and validation in one panel per metric."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes `figures/training_curves.png`, and logs it to TensorBoard."""
        run_folder = run_folder_of(trainer)
        names = list(
            dict.fromkeys(key.split("/", 1)[1] for entry in self.history for key in entry if key.count("/") == 1)
        )
        if names:
            card = self._draw(names[:_CARD_PANELS], 1, CARD_WIDTH, 2.4)
            figure = self._draw(names, min(len(names), _PANELS_PER_ROW), 4.6, 3.6)
            publish_figure(trainer, "training_curves", figure, run_folder, card)

    def _draw(self, names: Sequence[str], columns: int, width: float, height: float) -> Figure:
        """Draws a panel of this size, in inches, for each metric."""
        rows = -(-len(names) // columns)
        figure = new_figure(width * columns, height * rows)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel in panels[len(names) :]:
            panel.axis("off")
        for panel, name in zip(panels, names, strict=False):
            for part, colour in (("train", "tab:blue"), ("val", "tab:orange")):
                points = [
                    (entry["epoch"] + 1, entry[f"{part}/{name}"]) for entry in self.history if f"{part}/{name}" in entry
                ]
                if points:
                    panel.plot(*zip(*points, strict=True), color=colour, marker=".", label=part)
            panel.set(title=name, xlabel="epoch")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.grid(alpha=0.3)
            panel.legend()
        return figure
