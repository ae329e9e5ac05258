from collections.abc import Sequence

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Callback, Checkpoint, LearningRateMonitor, ProgressBar

import callbacks as zoo


def default_callbacks(model: LightningModule, datamodule: LightningDataModule) -> list[Callback]:
    """Returns the callbacks of every run; one of the same class in the configuration takes the place of its default."""
    figures: list[Callback] = []
    if isinstance(model, zoo.NamesClasses) and isinstance(datamodule, zoo.ShowsTestPictures):
        figures = [zoo.PredictionGrid(), zoo.ConfusionMatrixFigure()]
    pool = [zoo.PseudoLabelReport()] if isinstance(getattr(model, "pseudo_labels", None), zoo.LearnsPool) else []
    return [
        zoo.EpochProgressBar(),
        zoo.FiniteLoss(),
        zoo.AgreedStop(),
        LearningRateMonitor(),
        *pool,
        zoo.TrainingCurves(),
        *figures,
        zoo.PredictionsCSV(),
        zoo.RunRecord(),
        zoo.SplitSummary(),
        zoo.RunSummary(),
    ]


def with_defaults(
    given: Sequence[Callback], best: Callback, defaults: Sequence[Callback], trainer: Namespace
) -> list[Callback]:
    """Returns the user's callbacks between the defaults that the user has neither replaced nor switched off.

    Checkpoint callbacks are called last of all, in their order here: `best`, the user's, `last`. As `last` holds what
    the others have kept so far, it has to follow them: a kill between two leaves the `last` of the epoch before, and
    the resumed run trains the epoch again and keeps the same again. The other way round, an epoch would count as done
    whose best weights nobody has kept.

    Args:
        given: The user's.
        best: Keeps the best checkpoint.
        defaults: The others that follow the user's.
        trainer: Options of the trainer, which switch some off.
    """
    unwanted: list[type] = []
    if trainer.logger is False:
        unwanted.append(LearningRateMonitor)
    if trainer.enable_progress_bar is False or any(isinstance(callback, ProgressBar) for callback in given):
        unwanted.append(ProgressBar)
    if trainer.enable_checkpointing is False:
        unwanted.append(Checkpoint)
    replaced = {type(callback) for callback in given}

    def kept(*callbacks: Callback) -> list[Callback]:
        return [each for each in callbacks if type(each) not in replaced and not isinstance(each, tuple(unwanted))]

    # The seed comes before whatever may draw.
    return [*kept(zoo.EpochSeed(), zoo.ExactResume(), best), *given, *kept(*defaults, zoo.LastCheckpoint())]
