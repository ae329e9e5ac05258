from lightning.pytorch import LightningModule, Trainer
from matplotlib.ticker import MaxNLocator

from callbacks.epoch_history import EpochHistory
from callbacks.figures import new_figure, publish_figure
from callbacks.files import run_folder_of

MOST_IN_ROW = 5


class TrainingCurves(EpochHistory):
    """Draws loss, accuracy and what else is logged against the epoch, training and validation in one panel each."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes `figures/training_curves.png`, and the same to TensorBoard."""
        run_folder = run_folder_of(trainer)
        names = dict.fromkeys(key.split("/", 1)[1] for entry in self.history for key in entry if key.count("/") == 1)
        if not names:
            return
        rows, columns = -(-len(names) // MOST_IN_ROW), min(len(names), MOST_IN_ROW)
        figure = new_figure(4.6 * columns, 3.6 * rows)
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
        publish_figure(trainer, "training_curves", figure, run_folder)
