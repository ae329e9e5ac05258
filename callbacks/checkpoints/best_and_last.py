from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


def begins_anew(trainer: Trainer, stage: str) -> bool:
    """Says in `setup` whether a training begins, so that what is known of an earlier one does not count.

    A trainer that goes on has taken steps; what the checkpoint of a resumed training knows is restored after `setup`.
    """
    return stage == "fit" and not trainer.global_step


def require_metric(trainer: Trainer, owner: str, monitor: str | None) -> None:
    """Refuses a monitored metric that validation does not log; called once the sanity check has validated.

    Args:
        trainer: At the end of its sanity check.
        owner: Who monitors, for the message.
        monitor: Name of the metric. Training metrics do not exist yet and are not checked.

    Raises:
        ValueError: If the metric is absent; the message lists those there are.
    """
    there = sorted(trainer.callback_metrics)
    if monitor and not monitor.startswith("train/") and there and monitor not in there:
        raise ValueError(f"{owner}: monitor {monitor!r} is not logged; there are {', '.join(there)}")


class MovableCheckpoint(ModelCheckpoint):
    """Knows its files again after the folder of the run was moved or copied; base of the zoo's checkpoint callbacks.

    Lightning notes their full paths in the checkpoints: a resumed run would begin to look for the best epoch anew, and
    test the checkpoint of the folder that it was copied from. A second training with the same callback has files of its
    own; Lightning would go on with those of the first.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Knows nothing of an earlier training; what a checkpoint knows is restored later."""
        if begins_anew(trainer, stage):
            self.dirpath = self.current_score = self.best_model_score = None
            self.best_k_models = {}
            self.kth_value = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
            self.best_model_path = self.kth_best_model_path = self.last_model_path = self._last_checkpoint_saved = ""
            self._last_global_step_saved = 0
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the paths and scores, in the folder where the files are now."""
        folder = Path(str(self.dirpath))
        if state_dict.get("dirpath") != self.dirpath and (folder / Path(state_dict["best_model_path"]).name).is_file():

            def here(path: str) -> str:
                return str(folder / Path(path).name) if path else path

            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            best = {here(path): score for path, score in state_dict.get("best_k_models", {}).items()}
            state_dict = {
                **state_dict,
                **{name: here(state_dict.get(name, "")) for name in paths},
                "best_k_models": best,
                "dirpath": self.dirpath,
            }
        super().load_state_dict(state_dict)
        self.current_score = state_dict.get("current_score")  # Lightning leaves it out


class LastCheckpoint(MovableCheckpoint):
    """Keeps `checkpoints/last.ckpt`, rewritten at the end of every epoch: what an interrupted run is resumed from.

    (`save_last` of Lightning's own callback writes it only in epochs that also improve the best one.)
    """

    def __init__(self) -> None:
        super().__init__(filename="last", enable_version_counter=False, save_on_train_epoch_end=True)

    @property
    def state_key(self) -> str:
        """A constant, unlike that of `BestCheckpoint`."""
        return "LastCheckpoint"


class BestCheckpoint(MovableCheckpoint):
    """Keeps `checkpoints/best.ckpt`, chosen by a validation metric; the newest one where nothing chooses.

    Args:
        monitor: Name of the metric that chooses. `None`, and nothing does: where validation samples are few, and the
            learning rate ends at 0, the last epoch is the better choice.
        mode: Whether the smallest (`min`) or the largest (`max`) is best.
    """

    def __init__(self, monitor: str | None = "val/loss", mode: Literal["min", "max"] = "min") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            auto_insert_metric_name=False,  # names of metrics have slashes
            enable_version_counter=False,
            # By then the training metrics of the epoch are known too, and a resumed run starts with a new epoch.
            save_on_train_epoch_end=True,
        )
        self._asked, self._validated = monitor, False

    @property
    def state_key(self) -> str:
        """A constant: Lightning's own depends on the monitor, which a run without validation does without."""
        return "BestCheckpoint"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Monitors nothing where nothing is validated."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            validates = getattr(trainer.datamodule, "validates", True)  # type: ignore[attr-defined]
            unmonitored = str(self._asked).startswith("val/") and not (validates and trainer.enable_validation)
            self.monitor = None if unmonitored else self._asked

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Waits for a validation; not every epoch need have one, and metrics of an earlier one are still there."""
        self._validated = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes it."""
        super().on_validation_end(trainer, pl_module)
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Chooses, if there is something new to choose by."""
        if self._validated or not str(self.monitor).startswith("val/"):
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes do with the last weights where training has ended before any validation."""
        super().on_train_end(trainer, pl_module)
        fast_dev_run = trainer.fast_dev_run  # type: ignore[attr-defined]
        if not self.best_model_path and trainer.global_step and not fast_dev_run:
            self.best_model_path = str(Path(str(self.dirpath)) / "best.ckpt")
            trainer.save_checkpoint(self.best_model_path)

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuses a metric that is not there before any training."""
        require_metric(trainer, "checkpoint", self.monitor)
