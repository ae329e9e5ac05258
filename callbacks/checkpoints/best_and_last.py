"""The checkpoints `best.ckpt` and `last.ckpt`."""

import time
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.utilities.exceptions import SIGTERMException

from litzoo.callbacks.agreement import Agreement, is_terminating
from litzoo.callbacks.checkpoints._epoch_state import is_within_epoch


def starts_new_training(trainer: Trainer, stage: str) -> bool:
    """Whether `setup` is called for a new training, so that the state of an earlier one has to be reset.

    A trainer that continues its own training has taken steps already. When a training is resumed from a checkpoint,
    its state is restored after `setup`.
    """
    return stage == "fit" and not trainer.global_step


def require_metric(trainer: Trainer, owner: str, monitor: str | None) -> None:
    """Raises an error if validation does not log the monitored metric; call it at the end of the sanity check.

    Args:
        trainer: The trainer, whose sanity check has just validated.
        owner: The option or callback that monitors, for the message.
        monitor: Name of the metric. Training metrics are not logged yet, and are not checked.

    Raises:
        ValueError: If the metric is not logged; the message lists those that are.
    """
    logged = sorted(trainer.callback_metrics)
    if monitor and not monitor.startswith("train/") and logged and monitor not in logged:
        raise ValueError(f"{owner}: monitor {monitor!r} is not logged; choose one of {', '.join(logged)}")


class MovableCheckpoint(ModelCheckpoint):
    """`ModelCheckpoint` that finds its files after the run folder was moved or copied; base of the two below.

    Lightning stores absolute paths in the checkpoints: a resumed run would forget its best epoch, and test the
    checkpoint in the folder that it was copied from. Unlike Lightning's, this callback also resets itself when it is
    used for a second training, which gets its own files.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state of an earlier training; that of a checkpoint is restored later."""
        if starts_new_training(trainer, stage):
            self.dirpath = self.current_score = self.best_model_score = None
            self.best_k_models = {}
            self.kth_value = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
            self.best_model_path = self.kth_best_model_path = self.last_model_path = self._last_checkpoint_saved = ""
            self._last_global_step_saved = 0
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores paths and scores, with the paths in the folder where the files are now."""
        folder = Path(str(self.dirpath))
        if state_dict.get("dirpath") != self.dirpath and (folder / Path(state_dict["best_model_path"]).name).is_file():

            def moved(path: str) -> str:
                return str(folder / Path(path).name) if path else path

            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            state_dict = {
                **state_dict,
                **{name: moved(state_dict.get(name, "")) for name in paths},
                "best_k_models": {moved(path): score for path, score in state_dict.get("best_k_models", {}).items()},
                "dirpath": self.dirpath,
            }
        super().load_state_dict(state_dict)
        self.current_score = state_dict.get("current_score")  # Lightning does not restore it


class LastCheckpoint(MovableCheckpoint):
    """Saves `checkpoints/last.ckpt` at the end of every epoch; an interrupted run is resumed from it.

    (`save_last` of Lightning's `ModelCheckpoint` saves it only in epochs that also improve the best one.) With long
    epochs, it also saves within them; the resumed run goes on with the next batch. After SIGTERM it saves too: a single
    process after the current step, or in the middle of a validation, which the resumed run repeats; several processes
    when they have agreed on it, within a second or 50 steps, or after the validation (see `SynchronizedStop`).

    Args:
        every_n_steps: Optimizer steps between two checkpoints within an epoch.
        every_n_minutes: Minutes between two checkpoints within an epoch.

    Raises:
        ValueError: If one of them is not positive.
    """

    def __init__(self, every_n_steps: int | None = None, every_n_minutes: float | None = None) -> None:
        for name, value in {"every_n_steps": every_n_steps, "every_n_minutes": every_n_minutes}.items():
            if value is not None and value <= 0:
                raise ValueError(f"LastCheckpoint.{name}: {value} is not positive; leave it out to save every epoch")
        super().__init__(filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        self.every_n_steps, self.every_n_minutes = every_n_steps, every_n_minutes
        self._saved_step, self._saved_batch, self._saved_time = 0, -1, time.monotonic()
        self._agreement: Agreement | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        super().on_train_start(trainer, pl_module)
        self._agreement = Agreement(trainer) if self.every_n_minutes else None
        self._note_saved(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves if it is time."""
        if self._is_time(trainer) or is_terminating(trainer):
            self._save_within_epoch(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves if SIGTERM came during a validation within an epoch."""
        if is_terminating(trainer) and is_within_epoch(trainer):
            self._save_within_epoch(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends the agreement on the time."""
        super().on_train_end(trainer, pl_module)
        if self._agreement is not None:
            self._agreement.close()
            self._agreement = None

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the checkpoint of the epoch."""
        self._note_saved(trainer)
        self._last_global_step_saved = -1
        super().on_train_epoch_end(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Saves if SIGTERM came after the step, such as during a validation; several processes have saved by then."""
        super().on_exception(trainer, pl_module, exception)
        ended = isinstance(exception, SIGTERMException) and is_terminating(trainer) and is_within_epoch(trainer)
        if ended and trainer.world_size == 1 and self._saved_batch != trainer.fit_loop.total_batch_idx:
            self._save_within_epoch(trainer)

    def _is_time(self, trainer: Trainer) -> bool:
        if self.every_n_steps and trainer.global_step - self._saved_step >= self.every_n_steps:
            return True
        if not self.every_n_minutes:
            return False
        assert self._agreement is not None
        return bool(self._agreement.any(time.monotonic() - self._saved_time >= 60 * self.every_n_minutes))

    def _save_within_epoch(self, trainer: Trainer) -> None:
        self._note_saved(trainer)
        self._last_global_step_saved = -1
        self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def _note_saved(self, trainer: Trainer) -> None:
        self._saved_step, self._saved_batch = trainer.global_step, trainer.fit_loop.total_batch_idx
        self._saved_time = time.monotonic()

    @property
    def state_key(self) -> str:
        """Key of this callback's state in checkpoints."""
        return "LastCheckpoint"


class BestCheckpoint(MovableCheckpoint):
    """Saves `checkpoints/best.ckpt`, chosen by a validation metric; without a metric, the newest epoch.

    Its weights are always those that were validated, also by a validation within an epoch.

    Args:
        monitor: Name of the metric. `None` keeps the last epoch, the better choice where validation samples are few
            and the learning rate ends at 0.
        mode: Whether the smallest (`min`) or the largest (`max`) value is best.
    """

    def __init__(self, monitor: str | None = "val/loss", mode: Literal["min", "max"] = "min") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            auto_insert_metric_name=False,  # metric names have slashes
            enable_version_counter=False,
            # After a validation at the end of an epoch: by then the epoch's training metrics are known too, and a
            # resumed run starts with a new epoch. After a validation within an epoch: at once (`on_validation_end`).
            save_on_train_epoch_end=True,
        )
        self._configured_monitor, self._validated = monitor, False

    @property
    def state_key(self) -> str:
        """Key of this callback's state in checkpoints. Lightning's contains the monitor, which may change (`setup`)."""
        return "BestCheckpoint"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Switches monitoring off if there is no validation.

        Raises:
            ValueError: If the trainer has a `StochasticWeightAveraging`, whose average is never validated.
        """
        if any(isinstance(each, StochasticWeightAveraging) for each in trainer.callbacks):  # type: ignore[attr-defined]
            raise ValueError(
                "StochasticWeightAveraging: its average replaces the weights after the last validation, so that no "
                "checkpoint holds it and no test sees it; use ExponentialMovingAverage, whose average is validated, "
                "saved and tested"
            )
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            validates = getattr(trainer.datamodule, "validates", True)  # type: ignore[attr-defined]
            unavailable = str(self._configured_monitor).startswith("val/") and not (
                validates and trainer.enable_validation
            )
            self.monitor = None if unavailable else self._configured_monitor

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Records that the weights are no longer those that `callback_metrics` has the validation metrics of."""
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the checkpoint after a validation within an epoch if it is the best so far."""
        self._validated = not trainer.sanity_checking
        if self._chosen_by_validation and not trainer.is_last_batch:
            # With gradient accumulation, batch norm differs between two validations with the same number of steps.
            self._last_global_step_saved = -1
            self._save_on_train_epoch_end = False
        try:
            super().on_validation_end(trainer, pl_module)
        finally:
            self._save_on_train_epoch_end = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the checkpoint if the epoch is the best so far, and its last weights were validated."""
        if self._validated or not self._chosen_by_validation:
            self._last_global_step_saved = -1
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the last weights if training has ended before any validation."""
        super().on_train_end(trainer, pl_module)
        fast_dev_run = trainer.fast_dev_run  # type: ignore[attr-defined]
        if not self.best_model_path and trainer.global_step and not fast_dev_run:
            self.best_model_path = str(Path(str(self.dirpath)) / "best.ckpt")
            trainer.save_checkpoint(self.best_model_path)

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks before training that the monitored metric is logged."""
        require_metric(trainer, "checkpoint", self.monitor)

    @property
    def _chosen_by_validation(self) -> bool:
        return str(self.monitor).startswith("val/")
