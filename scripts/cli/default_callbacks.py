from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor, ProgressBar
from lightning.pytorch.profilers import PassThroughProfiler

from litzoo import callbacks as zoo
from litzoo.scripts.cli.options import class_at


def default_callbacks(model: LightningModule, datamodule: LightningDataModule) -> list[Callback]:
    """Returns the callbacks of every run, and those that the module names in a method `default_callbacks(datamodule)`.

    One of the same class in the configuration replaces its default.
    """
    names: list[str] = getattr(model, "default_callbacks", lambda _: [])(datamodule)
    return [
        zoo.EpochProgressBar(),
        zoo.FiniteLoss(),
        zoo.SynchronizedStop(),
        LearningRateMonitor(),
        *(class_at(name)() for name in names),
        zoo.TrainingCurves(),
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


EVERY_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


def skip_empty_hooks(callbacks: Iterable[Callback]) -> None:
    """Spares the hooks of every step that a callback does not implement.

    Lightning calls each of them on each callback, empty or not, which a small model feels; it passes over those that
    are not callable.
    """
    for callback in callbacks:
        for hook in EVERY_STEP:
            if getattr(type(callback), hook) is getattr(Callback, hook):
                setattr(callback, hook, None)


_NOTHING = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Measures nothing, for less: Lightning's own makes some sixty generators at every training step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Returns one and the same empty context."""
        return _NOTHING
