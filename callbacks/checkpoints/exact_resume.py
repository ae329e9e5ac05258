"""Makes a resumed training produce the same results, bit by bit, as one that was never interrupted."""

import os
import random
import warnings
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loops.evaluation_loop import RestartStage
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from litzoo.callbacks.checkpoints._epoch_state import (
    gathered,
    is_within_epoch,
    restore_within_epoch,
    state_within_epoch,
)
from litzoo.datamodules.samplers import EpochBatches
from litzoo.lit_modules.base import LitModule


class ExactResume(Callback):
    """Restores the state Lightning does not checkpoint, so that resuming is exact.

    - The latest values of monitored metrics. `ReduceLROnPlateau` steps after the epoch's checkpoint has been written;
      the resumed training makes up for this step at its start.
    - That early stopping has ended the training. Lightning would train one more epoch.
    - The sample order of the first epoch with DataLoader workers. Lightning would use that of epoch 0.
    - The end of a training that has no epoch left. Lightning would return at once, and what callbacks do in
      `on_train_end` would be missing if the run was killed before it.
    - The epoch number with `max_steps`, which determines the sample order. Lightning would count one too many.
    - The position within an epoch: the next batch of the samplers, the random states, the means of the epoch so far and
      accumulated gradients, of each process. Lightning would begin with the epoch's first batches again.
    - What follows the batch after which a checkpoint was saved: a validation, the end of the epoch. Lightning would
      leave out the validation, and with it the epoch's end.

    It works for the checkpoints of any callback, such as a `ModelCheckpoint` with `every_n_train_steps`. A training
    that `BestWeightsEarlyStopping` has ended continues if it is given more patience.
    """

    def __init__(self) -> None:
        # `max_epochs` and `max_steps`, while they are lifted; `on_exception` may come before `setup`.
        self._limits: tuple[Any, int] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state."""
        self._limits = None
        self._metrics: dict[str, Tensor] = {}
        self._stopped = False
        self._ended_epoch: int | None = None  # set if the checkpoint was written at the end of an epoch
        self._epochs: int | None = None  # that the checkpoint has completed
        self._within_epoch: dict[str, Any] | None = None  # set if the checkpoint was written within an epoch
        self._after_batch = False  # whether what follows the checkpoint's last batch has still to be done
        self._in_validation = False  # whether the checkpoint was written in the middle of a validation
        self._is_validating = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the monitored metrics, and whether training was stopped; `state_dict` has no access to the trainer."""
        owners = (*trainer.callbacks, *trainer.lr_scheduler_configs)  # type: ignore[attr-defined]
        monitored = {getattr(each, "monitor", None) for each in owners}
        within = is_within_epoch(trainer)
        checkpoint["callbacks"][self.state_key] = {
            # Other metrics would stay stale if the training is resumed without the callback that logs them.
            "metrics": {name: value.cpu() for name, value in trainer.callback_metrics.items() if name in monitored},
            "stopped": trainer.should_stop and _early_stopping_has_stopped(trainer),
            "within_epoch": gathered(trainer, state_within_epoch(trainer, pl_module)) if within else None,
            "validating": within and self._is_validating,
        }

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that a checkpoint saved from now on lacks this validation."""
        self._is_validating = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes that the validation has ended; callbacks that save checkpoints come later."""
        self._is_validating = False

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Reads this state from the checkpoint if training is resumed."""
        if not trainer.training:
            return
        loops = checkpoint["loops"]["fit_loop"]
        progress, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]
        self._epochs = progress["processed"]
        if state := checkpoint["callbacks"].get(self.state_key):
            self._metrics, self._stopped = state["metrics"], state["stopped"]
            self._ended_epoch = progress["completed"] if progress["processed"] > progress["completed"] else None
            states = state.get("within_epoch")
            # With another number of processes the batches are others, too.
            if states and self._ended_epoch is None and len(states) == trainer.world_size:
                self._within_epoch = states[trainer.global_rank]
                # Lightning only knows of loaders with a state; here the samplers have a position.
                warnings.filterwarnings("ignore", ".*ended before the epoch ended and your dataloader is")
                self._after_batch = self._in_validation = state.get("validating", False)
                if batches["current"]["processed"] > batches["current"]["completed"]:  # saved in `on_train_batch_end`
                    self._after_batch = True
                    # Lightning would take the epoch's last batch for the end of the epoch.
                    for count in batches["current"], batches["total"]:
                        count["completed"] = count["processed"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lifts the limits of a resumed training until it has started.

        Lightning would return at once if they are reached. With `max_steps` it would end the checkpoint's epoch a
        second time.
        """
        if trainer.ckpt_path is not None and self._epochs is not None:
            loop = trainer.fit_loop
            self._limits = loop.max_epochs, loop.epoch_loop.max_steps
            loop.epoch_loop.max_steps = -1
            if loop.max_epochs == self._epochs:
                loop.max_epochs = -1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the metrics and the position in the epoch; makes up for the missing steps of `ReduceLROnPlateau`."""
        self._restore_limits(trainer)
        trainer.callback_metrics.update(self._metrics)
        if self._stopped and _early_stopping_has_stopped(trainer):
            rank_zero_info("The training was ended by early stopping: there is nothing left to train.")
            trainer.should_stop = True
        if self._epochs is None:
            return
        self._restart_loaders(trainer)
        if self._within_epoch is not None:
            restore_within_epoch(self._within_epoch, trainer)
            if self._after_batch:
                self._finish_batch(trainer, pl_module)
        if self._ended_epoch is not None:
            self._step_plateau_schedulers(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the resumption within an epoch; else Lightning would not step `ReduceLROnPlateau`."""
        if self._within_epoch is not None:
            self._within_epoch = None
            trainer.fit_loop._restarting = False
            trainer.fit_loop.epoch_loop.on_iteration_done()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restores the limits if the training has not started."""
        self._restore_limits(trainer)

    def _restore_limits(self, trainer: Trainer) -> None:
        if self._limits is not None:
            trainer.fit_loop.max_epochs, trainer.fit_loop.epoch_loop.max_steps = self._limits
            self._limits = None

    def _restart_loaders(self, trainer: Trainer) -> None:
        """Restarts the DataLoader workers, which have started before the epoch and the batch number were restored."""
        loop = trainer.fit_loop
        loop.setup_data()  # those that `reload_dataloaders_every_n_epochs` asks for
        if loop._combined_loader is None or loop._data_fetcher is None:
            return
        batch: Any = loop.epoch_loop.batch_progress.current  # its type lacks `processed`
        for loader in loop._combined_loader.flattened:
            sampler: Any = getattr(loader, "sampler", None)
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(trainer.current_epoch)
            if self._within_epoch is not None and isinstance(sampler, EpochBatches):
                sampler.start_at(batch.processed % max(len(sampler), 1))
        iter(loop._data_fetcher)

    def _finish_batch(self, trainer: Trainer, module: LightningModule) -> None:
        """Does what follows the checkpoint's last batch, or makes Lightning do it."""
        loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
        is_last = loop._num_ready_batches_reached()
        if is_last and isinstance(module, LitModule):
            (module.log_training if self._in_validation else module.finish_epoch)()
        if fetcher is not None and loop._should_check_val_fx(fetcher):
            loop.val_loop.restarting = False
            loop.val_loop._restart_stage = RestartStage.RESTARTED_MID_EVALUATION
            return
        if not loop._should_accumulate():
            loop._batches_that_stepped += 1
        if is_last:
            loop.val_loop._has_run = True  # else Lightning would look for a further batch

    def _step_plateau_schedulers(self, trainer: Trainer, module: LightningModule) -> None:
        assert self._ended_epoch is not None
        progress = trainer.fit_loop.epoch_loop.scheduler_progress
        for config in trainer.lr_scheduler_configs:
            due = config.interval == "epoch" and (self._ended_epoch + 1) % config.frequency == 0
            if config.reduce_on_plateau and due and config.monitor in self._metrics:
                progress.increment_ready()
                module.lr_scheduler_step(config.scheduler, self._metrics[config.monitor])
                progress.increment_completed()


def _early_stopping_has_stopped(trainer: Trainer) -> bool:
    callbacks = [each for each in trainer.callbacks if isinstance(each, EarlyStopping)]  # type: ignore[attr-defined]
    return any(each.stopped_epoch or each.wait_count >= each.patience for each in callbacks)


class EpochSeed(Callback):
    """Reseeds all random generators at every epoch, from the run's seed, the epoch and the rank.

    A run resumed at an epoch then has the same dropout and augmentation as an uninterrupted one. Python's and numpy's
    generators are seeded too, for users' own code. Without a seed (`seed_everything`) it does nothing.
    """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seeds torch (on all devices), numpy and Python."""
        if seed := os.environ.get("PL_GLOBAL_SEED"):
            # Prime factors keep the seeds of neighbouring runs, epochs and ranks apart.
            mixed = int(seed) * 1_000_003 + trainer.current_epoch * 7_919 + trainer.global_rank * 104_729
            torch.manual_seed(mixed % 2**63)
            np.random.seed(mixed % 2**32)
            random.seed(mixed)
