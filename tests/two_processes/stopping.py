"""Trainings that one of two processes wants to end before their time, or that go wrong in one."""

from typing import Any

from lightning.pytorch import Callback, Trainer

from litzoo.callbacks import SynchronizedStop
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import SoftmaxRegression
from tests.callbacks.training.test_finite_loss import FiniteLossOnDevice
from tests.training import cpu_trainer
from tests.two_processes.failing import Fails

HOOKS = {"on_train_start": 0, "on_train_epoch_start": 1, "on_train_batch_start": 2, "on_validation_end": 2}
"""Where it is asked for in the second epoch (`on_train_start` has none), and how many epochs are trained at most."""
WITHIN_EPOCH = ("on_train_batch_start",)
"""Those after which the processes agree within the epoch, when is a question of time."""


class AsksToStop(Callback):
    """Asks to stop in a hook, in the second of two processes."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, lambda trainer, *_: self._ask(trainer, hook))

    def _ask(self, trainer: Trainer, hook: str) -> None:
        if trainer.global_rank == 1 and (trainer.current_epoch == 1 or hook == "on_train_start"):
            trainer.should_stop = True


def stop(hook: str, **trainer_options: Any) -> int:
    """Trains until one process asks to stop; returns the number of steps."""
    trainer = cpu_trainer(max_epochs=4, callbacks=[AsksToStop(hook), SynchronizedStop()], **trainer_options)
    trainer.fit(SoftmaxRegression((1, 28, 28), 10), _data())
    return trainer.global_step


def spoil(**trainer_options: Any) -> str:
    """Trains on a batch that is bad in the second process, and returns what this process says to that."""
    trainer = cpu_trainer(callbacks=[Fails("nan", 1), FiniteLossOnDevice()], **trainer_options)
    try:
        trainer.fit(SoftmaxRegression((1, 28, 28), 10), _data())
    except FloatingPointError as error:
        return str(error)
    return "nothing"


def _data() -> DigitsDataModule:
    return DigitsDataModule(batch_size=16, train_size=96, val_size=20)
