from collections.abc import Mapping, Sequence

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor, ProgressBar

from litzoo import callbacks as zoo
from litzoo.callbacks.reporting.hyperparameters import Option
from litzoo.scripts.cli.classes import class_at


def default_callbacks(
    model: LightningModule, datamodule: LightningDataModule, options: Mapping[str, Option] | None = None
) -> list[Callback]:
    """Returns the callbacks of every run, and those that the module names in a method `default_callbacks(datamodule)`.

    One of the same class in the configuration replaces its default.

    Args:
        model: The module.
        datamodule: The datamodule.
        options: The options that distinguish the run, for `Hyperparameters`.
    """
    names: list[str] = getattr(model, "default_callbacks", lambda _: [])(datamodule)
    return [
        zoo.EpochProgressBar(),
        zoo.FiniteLoss(),
        zoo.SynchronizedStop(),
        LearningRateMonitor(),
        *(class_at(name)() for name in names),
        zoo.LearningRateFigure(),
        zoo.TrainingCurves(),
        zoo.PredictionsCSV(),
        zoo.RunRecord(),
        zoo.SplitSummary(),
        zoo.RunSummary(),
        zoo.TensorBoardOverview(),
        zoo.Hyperparameters(options),
    ]


def with_defaults(
    given: Sequence[Callback], best: Callback, defaults: Sequence[Callback], trainer: Namespace
) -> list[Callback]:
    """Returns the user's callbacks between the defaults that the user has neither replaced nor switched off.

    Lightning calls checkpoint callbacks last, in their order here: `best`, the user's, `last`. `last.ckpt` holds the
    state of the others, so it is written after them: a process killed in between leaves the `last.ckpt` of the epoch
    before, and the resumed run trains that epoch again. The other way round, an epoch could count as trained whose best
    weights were not saved.

    Args:
        given: The user's callbacks.
        best: The callback that saves the best checkpoint.
        defaults: The other defaults, which follow the user's.
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

    # The seed comes before whatever may draw; the temperature before what the user's callbacks calibrate on the logits.
    early = [each for each in defaults if isinstance(each, zoo.TemperatureScaling)]
    late = [each for each in defaults if each not in early]
    return [*kept(zoo.EpochSeed(), zoo.ExactResume(), best, *early), *given, *kept(*late, zoo.LastCheckpoint())]
