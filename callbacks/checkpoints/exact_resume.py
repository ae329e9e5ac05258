"""Makes a resumed training produce the same results, bit by bit, as one that was never interrupted."""

import os
import random
import warnings
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from litzoo.callbacks.samples import SampleColumns
from litzoo.datamodules.samplers import EpochBatches
from litzoo.lit_modules.metrics import EpochMeans


class ExactResume(Callback):
    """Restores the state Lightning does not checkpoint, so that resuming is exact.

    - The latest values of monitored metrics. `ReduceLROnPlateau` steps after the epoch's checkpoint has been written;
      the resumed training makes up for this step at its start.
    - That early stopping has ended the training. Lightning would train one more epoch.
    - The sample order of the first epoch with DataLoader workers. Lightning would use that of epoch 0.
    - The end of a training that has no epoch left. Lightning would return at once, and what callbacks do in
      `on_train_end` would be missing if the run was killed before it.
    - The epoch number with `max_steps`, which determines the sample order. Lightning would count one too many.
    - The position within an epoch: the next batch of the samplers, the random states and the means of the epoch so far,
      of each process. Lightning would begin with the epoch's first batches again.

    A training that `BestWeightsEarlyStopping` has ended continues if it is given more patience.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state, and replaces the trainer's fit loop by one that resumes exactly."""
        self._metrics: dict[str, Tensor] = {}
        self._stopped = False
        self._ended_epoch: int | None = None  # set if the checkpoint was written at the end of an epoch
        self.within_epoch: dict[str, Any] | None = None  # set if the checkpoint was written within an epoch
        if stage == "fit":
            # A new loop object would lack the settings that the trainer has made on this one.
            trainer.fit_loop.__class__ = _ResumedFitLoop

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the monitored metrics, and whether training was stopped; `state_dict` has no access to the trainer."""
        owners = (*trainer.callbacks, *trainer.lr_scheduler_configs)  # type: ignore[attr-defined]
        monitored = {getattr(each, "monitor", None) for each in owners}
        checkpoint["callbacks"][self.state_key] = {
            # Other metrics would stay stale if the training is resumed without the callback that logs them.
            "metrics": {name: value.cpu() for name, value in trainer.callback_metrics.items() if name in monitored},
            "stopped": trainer.should_stop and _early_stopping_has_stopped(trainer),
            "within_epoch": _gathered(trainer, _state_within_epoch(trainer, pl_module))
            if _is_within_epoch(trainer)
            else None,
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Reads this state from the checkpoint if training is resumed."""
        if trainer.training and (state := checkpoint["callbacks"].get(self.state_key)):
            self._metrics, self._stopped = state["metrics"], state["stopped"]
            progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
            self._ended_epoch = progress["completed"] if progress["processed"] > progress["completed"] else None
            states = state.get("within_epoch")
            # With another number of processes the batches are others, too.
            if states and self._ended_epoch is None and len(states) == trainer.world_size:
                self.within_epoch = states[trainer.global_rank]
                # Lightning only knows of loaders with a state; here the samplers have a position.
                warnings.filterwarnings("ignore", ".*ended before the epoch ended and your dataloader is")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops again if early stopping had ended the training."""
        if self._stopped and _early_stopping_has_stopped(trainer):
            rank_zero_info("The training was ended by early stopping: there is nothing left to train.")
            trainer.should_stop = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the metrics, and makes up for the missing steps of `ReduceLROnPlateau`."""
        trainer.callback_metrics.update(self._metrics)
        if self._ended_epoch is None:
            return
        progress = trainer.fit_loop.epoch_loop.scheduler_progress
        for config in trainer.lr_scheduler_configs:
            due = config.interval == "epoch" and (self._ended_epoch + 1) % config.frequency == 0
            if config.reduce_on_plateau and due and config.monitor in self._metrics:
                progress.increment_ready()
                pl_module.lr_scheduler_step(config.scheduler, self._metrics[config.monitor])
                progress.increment_completed()


class _ResumedFitLoop(_FitLoop):
    """Fit loop that continues correctly after a checkpoint written at the end of an epoch, also of the last one."""

    @property
    def skip(self) -> bool:
        """Whether to return at once; not for a resumed training without epochs left, whose end hooks have to run."""
        if self.trainer.ckpt_path is not None:
            return self.max_batches == 0 or self.trainer.limit_train_batches == 0
        return super().skip

    def on_advance_start(self) -> None:
        """Restarts the DataLoader workers, which have started before the epoch and the batch number were restored."""
        super().on_advance_start()
        if self.is_resuming and self._data_fetcher is not None:
            states = [each for each in self.trainer.callbacks if isinstance(each, ExactResume)]  # type: ignore[attr-defined]
            within_epoch = states[0].within_epoch if states else None
            if self.restarted_mid_epoch and within_epoch and self._combined_loader is not None:
                progress: Any = self.epoch_loop.batch_progress.current  # its type lacks `processed`
                for loader in self._combined_loader.flattened:
                    if isinstance(sampler := getattr(loader, "sampler", None), EpochBatches):
                        sampler.start_at(progress.processed % max(len(sampler), 1))
            iter(self._data_fetcher)
            if self.restarted_mid_epoch and within_epoch:
                _restore_within_epoch(within_epoch, self.trainer)

    def _iteration_based_training(self) -> bool:
        # True would make Lightning end the checkpoint's epoch a second time.
        return super()._iteration_based_training() and not self.epoch_loop.batch_progress.is_last_batch


def _is_within_epoch(trainer: Trainer) -> bool:
    progress: Any = trainer.fit_loop.epoch_progress.current
    return trainer.state.fn == "fit" and progress.started > progress.processed


def _state_within_epoch(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Returns this process's random states, and the means and columns of its epoch so far, in plain types."""
    kind, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "cuda": [each.cpu() for each in torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else [],
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
        "columns": {name: columns.state_within_epoch() for name, columns in _sample_columns(trainer).items()},
    }
    if isinstance(means := getattr(module, "train_means", None), EpochMeans):
        state["means"] = means.state_so_far()
    return state


def _restore_within_epoch(state: dict[str, Any], trainer: Trainer) -> None:
    module = trainer.lightning_module
    for name, columns in _sample_columns(trainer).items():
        if name in state["columns"]:
            columns.load_state_within_epoch(state["columns"][name])
    if isinstance(means := getattr(module, "train_means", None), EpochMeans) and "means" in state:
        means.load_state_so_far(state["means"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))


def _sample_columns(trainer: Trainer) -> dict[str, SampleColumns]:
    """Returns what callbacks collect for each sample in an epoch, by callback and attribute."""
    return {
        f"{callback.state_key} {name}": value
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        for name, value in vars(callback).items()
        if isinstance(value, SampleColumns)
    }


def _gathered(trainer: Trainer, state: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the states of all processes; every process saves checkpoints together."""
    if trainer.world_size == 1:
        return [state]
    states: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(states, state)
    return states


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
