import os
import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor


class ExactResume(Callback):
    """Brings back what Lightning leaves out of a resumed training, so that it ends as one that was never interrupted.

    - The newest values of the metrics that are monitored. A schedule that waits for a plateau takes the step of an
      epoch after the epoch's checkpoint was written: the resumed training takes it, at its start.
    - That early stopping has ended the training: Lightning would train one more epoch, and stop anew.
    - The order of the first epoch where other processes load the batches: Lightning would draw that of epoch 0.
    - The end of a training of which no epoch is left: Lightning would return at once, and what callbacks do in
      `on_train_end` would be missing if a kill came before it.
    - With `max_steps`, the number of the epoch, on which its order hangs: Lightning would count one too many.

    `BestWeightsEarlyStopping` with more patience than before goes on with a training that it has stopped.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Sees to the end of the training, and knows nothing of an earlier one."""
        self._metrics: dict[str, Tensor] = {}
        self._stopped = False
        self._ended_epoch: int | None = None  # the checkpoint's, if it was written at the end of one
        if stage == "fit":
            # A new loop in its place would not know what the trainer has told this one.
            trainer.fit_loop.__class__ = _ResumedFitLoop

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds metrics and stopping; not as a `state_dict`, which is not told of the trainer."""
        owners = (*trainer.callbacks, *trainer.lr_scheduler_configs)  # type: ignore[attr-defined]
        monitored = {getattr(each, "monitor", None) for each in owners}
        checkpoint["callbacks"][self.state_key] = {
            # Others could be stale for ever in a training that is resumed without the callback that logs them.
            "metrics": {name: value.cpu() for name, value in trainer.callback_metrics.items() if name in monitored},
            "stopped": trainer.should_stop and _early_stopping_has_stopped(trainer),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers them, if the checkpoint has them and is trained on."""
        if trainer.training and (state := checkpoint["callbacks"].get(self.state_key)):
            self._metrics, self._stopped = state["metrics"], state["stopped"]
            progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
            self._ended_epoch = progress["completed"] if progress["processed"] > progress["completed"] else None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops what early stopping has stopped."""
        if self._stopped and _early_stopping_has_stopped(trainer):
            rank_zero_info("The training was ended by early stopping: there is nothing left to train.")
            trainer.should_stop = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the metrics back, and takes the steps that are missing."""
        trainer.callback_metrics.update(self._metrics)
        if self._ended_epoch is None:
            return
        counts = trainer.fit_loop.epoch_loop.scheduler_progress
        for config in trainer.lr_scheduler_configs:
            due = config.interval == "epoch" and (self._ended_epoch + 1) % config.frequency == 0
            if config.reduce_on_plateau and due and config.monitor in self._metrics:
                counts.increment_ready()
                pl_module.lr_scheduler_step(config.scheduler, self._metrics[config.monitor])
                counts.increment_completed()


class _ResumedFitLoop(_FitLoop):
    """Goes on after an epoch that was over when its checkpoint was written, be it the last one."""

    @property
    def skip(self) -> bool:
        """Whether there is nothing to do at all; a training that is over still has to be ended."""
        if self.trainer.ckpt_path is not None:
            return self.max_batches == 0 or self.trainer.limit_train_batches == 0
        return super().skip

    def on_advance_start(self) -> None:
        """Has the batches drawn anew: processes that load them have begun before the epoch was known."""
        super().on_advance_start()
        if self.is_resuming and self._data_fetcher is not None:
            iter(self._data_fetcher)

    def _iteration_based_training(self) -> bool:
        # If so, Lightning would end the epoch of the checkpoint again.
        return super()._iteration_based_training() and not self.epoch_loop.batch_progress.is_last_batch


def _early_stopping_has_stopped(trainer: Trainer) -> bool:
    callbacks = [each for each in trainer.callbacks if isinstance(each, EarlyStopping)]  # type: ignore[attr-defined]
    return any(each.stopped_epoch or each.wait_count >= each.patience for each in callbacks)


class EpochSeed(Callback):
    """Seeds dropout and augmentation anew at every epoch, from the run's seed, the epoch and the process.

    A run resumed at an epoch then draws what an unbroken one draws; from Python's and numpy's generators too, which the
    zoo leaves alone, but other people's code may not. Without a seed (`seed_everything`) it does nothing.
    """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seeds torch, on all devices, numpy and Python."""
        if seed := os.environ.get("PL_GLOBAL_SEED"):
            # Factors that keep neighbouring seeds, epochs and processes apart.
            mixed = int(seed) * 1_000_003 + trainer.current_epoch * 7_919 + trainer.global_rank * 104_729
            torch.manual_seed(mixed % 2**63)
            np.random.seed(mixed % 2**32)
            random.seed(mixed)
