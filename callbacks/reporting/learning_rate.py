"""LearningRateFigure: what a `LearningRateFinder` has found."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateFinder

from litzoo.callbacks.files import run_folder_of
from litzoo.callbacks.reporting.figures import new_figure, publish_figure


class LearningRateFigure(Callback):
    """Draws loss against learning rate as `figures/learning_rate.png`, with the suggestion of a `LearningRateFinder`.

    It does nothing if the trainer has no such callback.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the figure."""
        finders = [each for each in trainer.callbacks if isinstance(each, LearningRateFinder)]  # type: ignore[attr-defined]
        for found in (each.optimal_lr for each in finders if each.optimal_lr is not None):
            figure = new_figure(6, 4)
            axes = figure.add_subplot()
            axes.plot(found.results["lr"], found.results["loss"])
            axes.set(xscale="log" if found.mode == "exponential" else "linear", xlabel="learning rate", ylabel="loss")
            suggestion = found.suggestion()
            axes.set_title("no suggestion" if suggestion is None else f"suggestion: {suggestion:.3g}", fontsize=10)
            if suggestion is not None:
                axes.axvline(suggestion, color="black", linestyle="--")
            publish_figure(trainer, "learning_rate", figure, run_folder_of(trainer))
