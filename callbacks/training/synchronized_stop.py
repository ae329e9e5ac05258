import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from litzoo.callbacks.agreement import Agreement

PATIENCE = 25.0
"""Seconds after SIGTERM in which the processes have to agree; torchrun kills them after 30."""


class SynchronizedStop(Callback):
    """Stops all processes together when one of them sets `trainer.should_stop = True`, is out of time or gets SIGTERM.

    If one process left an epoch alone, the others would wait for it forever. A stop that is requested during an epoch
    is therefore synchronized: about every second, at least every 50 steps, and wherever the processes meet anyway
    (after a validation, at the start and end of an epoch). For SIGTERM and a `Timer`, Lightning does it at every step
    through the device, for which GPUs wait; with several processes, this callback replaces that.

    `LastCheckpoint` saves what is resumed after SIGTERM. A process that cannot agree with the others, since one of them
    has died, is ended after 25 seconds, unless it validates.

    Attributes:
        received_sigterm: Whether this process has received SIGTERM; only with several processes.
        is_terminating: Whether all processes have agreed to end, since one of them has received SIGTERM.
    """

    def __init__(self) -> None:
        self._requested = self.received_sigterm = self.is_terminating = self._is_overdue = False
        self._agreement: Agreement | None = None
        self._timers: list[Timer] = []
        self._patience: threading.Timer | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state; with a single process nothing is done in training steps."""
        self._requested = self.received_sigterm = self.is_terminating = self._is_overdue = False
        self._timers = []
        if trainer.world_size == 1:
            self.on_train_batch_end = None  # type: ignore[assignment]  # Lightning skips hooks that are not callable
        elif stage == "fit":
            self._agreement = Agreement(trainer)
            self._timers = [each for each in trainer.callbacks if type(each) is Timer and each._interval == "step"]  # type: ignore[attr-defined]
            for timer in self._timers:
                timer.on_train_batch_end = None  # type: ignore[method-assign, assignment]
            # A broadcast through the device at the start of every step.
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Gives timers and trainer back as they were."""
        if self._agreement is not None:
            self._agreement.close()
        self._restore(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Gives timers and trainer back as they were, without waiting for other processes."""
        self._restore(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes SIGTERM over from Lightning, whose handler sends a message that no other process may wait for."""
        if trainer.world_size > 1 and type(signal.getsignal(signal.SIGTERM)).__module__.startswith("lightning."):
            signal.signal(signal.SIGTERM, lambda number, frame: self._receive_sigterm(trainer, frame))
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Records a requested stop; this process continues until all are synchronized."""
        assert self._agreement is not None
        self._requested |= trainer.should_stop or self._is_out_of_time()
        trainer.should_stop = False
        if self._agreement.any(self._requested or self.received_sigterm):
            self.on_validation_end(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops all processes if any has requested it; also at the start and end of epochs.

        After SIGTERM, they are ended by the next hook: checkpoint callbacks follow this one.
        """
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            decide = trainer.strategy.reduce_boolean_decision
            trainer.should_stop = decide(self._requested or trainer.should_stop, all=False)
            self.is_terminating = trainer.world_size > 1 and decide(self.received_sigterm, all=False)

    on_train_epoch_end = on_validation_end

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does the same where nothing is left to be saved.

        Raises:
            SIGTERMException: In every process, if one of them has received SIGTERM.
        """
        self.on_validation_end(trainer, pl_module)
        self.on_validation_start(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Does what the next hook does."""
        self.on_validation_start(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends all processes after SIGTERM.

        Raises:
            SIGTERMException: In every process, if they have agreed to end.
        """
        if self.is_terminating:
            raise SIGTERMException

    on_train_end = on_validation_start

    def _restore(self, trainer: Trainer) -> None:
        self._agreement = None
        if self._patience is not None:
            self._patience.cancel()
        vars(trainer.fit_loop.epoch_loop).pop("_broadcast_sigterm_tensor", None)
        for timer in self._timers:
            vars(timer).pop("on_train_batch_end", None)

    def _is_out_of_time(self) -> bool:
        remaining = [left for timer in self._timers if (left := timer.time_remaining()) is not None]
        if self._requested or min(remaining, default=1.0) > 0:
            return False
        rank_zero_info("The time of the Timer (`max_time`) is over: the training stops.")
        return True

    def _receive_sigterm(self, trainer: Trainer, frame: FrameType | None) -> None:
        if self._is_overdue:
            raise SIGTERMException
        if not self.received_sigterm:  # SLURM and torchrun may both send one
            self.received_sigterm = True
            self._patience = threading.Timer(PATIENCE, self._lose_patience, [trainer])
            self._patience.daemon = True
            self._patience.start()

    def _lose_patience(self, trainer: Trainer) -> None:
        if not trainer.validating:  # all others validate too
            self._is_overdue = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _nothing() -> None:
    """Takes the place of a method."""
