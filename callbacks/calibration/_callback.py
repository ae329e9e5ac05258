"""Base class of the Lightning callbacks for conformal prediction; runs the plain classes of `conformal.py`."""

from abc import abstractmethod
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from litzoo.callbacks.calibration.conformal import Conformal
from litzoo.callbacks.calibration.part import (
    calibration_part,
    plain_sample_count,
    require_before_csv,
    require_fraction,
    require_same_options,
    reserve_calibration,
)
from litzoo.callbacks.checkpoints.atomic_io import add_state_to_checkpoints
from litzoo.callbacks.collecting import CollectsTestOutputs
from litzoo.callbacks.contracts import STEP_OUTPUTS
from litzoo.callbacks.evaluation import options_at_test_time, predict_part
from litzoo.callbacks.plain_modules import parts_of, predicts


class ConformalCallback(CollectsTestOutputs):
    """Mixin: calibrates at the end of training with the weights of each checkpoint, and evaluates in a test.

    Args:
        rule: What is calibrated.
        calibration_fraction: See `PredictionSets`.

    Attributes:
        calibrates: Whether the callback is calibrated on the module's outputs.
        remarks: What the summary of a test says below its metrics.
    """

    calibrates = True

    def __init__(self, rule: Conformal, calibration_fraction: float | None) -> None:
        require_fraction(type(self).__name__, calibration_fraction)
        super().__init__("target", *rule.reads)
        self.rule, self.calibration_fraction = rule, calibration_fraction
        self.remarks: list[str] = []
        self._fitted_with: dict[str, Any] = {}
        self._coverage: float | None = None  # that of the training

    @abstractmethod
    def require_module(self, module: LightningModule) -> None:
        """Raises a TypeError if the module is of another task."""

    @abstractmethod
    def require_enough(self, target: Tensor, parts: Any) -> None:
        """Raises a ValueError if the calibration samples of a datamodule, with targets `[n]`, are too few."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and callbacks, and reserves calibration samples.

        Raises:
            TypeError: If module or datamodule are of another task.
            ValueError: If there are no or too few validation samples, or `PredictionsCSV` comes before this callback.
        """
        name, datamodule = type(self).__name__, parts_of(trainer)
        self.require_module(pl_module)
        callbacks = list(trainer.callbacks)  # type: ignore[attr-defined]
        require_before_csv(self, trainer, stage)
        others = [type(each).__name__ for each in callbacks if each is not self and getattr(each, "calibrates", False)]
        if others and self.calibration_fraction is not None:
            raise ValueError(
                f"{name}.calibration_fraction: {others[0]} calibrates on the same samples; give the fraction to it"
            )
        if stage not in ("fit", "validate"):
            return
        if not predicts(pl_module):
            raise TypeError(f"{name} needs predictions of {type(pl_module).__name__}: {STEP_OUTPUTS}")
        if not datamodule.validates:
            if stage == "fit":
                raise ValueError(
                    f"{name} is calibrated on validation samples, but data.val_size is 0: set it; a trainer with "
                    "loaders of your own needs val_dataloaders"
                )
            return
        if not others:
            reserve_calibration(name, datamodule, self.calibration_fraction)
        part = calibration_part(datamodule)[1]
        if stage == "fit" and hasattr(part, "targets"):
            self.require_enough(torch.as_tensor(part.targets)[part.indices], datamodule)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resets what was fitted to other weights, also if the checkpoint has no state of this callback."""
        self.rule.load_state_dict({})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resets what was fitted to weights that change from now on.

        Raises:
            ValueError: If a plain loader has too few validation samples.
        """
        self.rule.load_state_dict({})
        count = plain_sample_count(trainer)
        if count is not None and not getattr(self.rule, "per_class", False):  # else the targets say more, later
            self.require_enough(torch.zeros(count, dtype=torch.int64), parts_of(trainer))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calibrates for the weights of each checkpoint, and adds the result to its file."""
        add_state_to_checkpoints(self, trainer, pl_module, lambda _: self._fit(trainer, pl_module))
        if self.rule.scores is not None:
            rank_zero_info(f"{type(self).__name__}: {self.rule.promise()}")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks that the callback was calibrated, with the options of this test.

        Raises:
            ValueError: If it was not.
        """
        name = type(self).__name__
        if self.rule.scores is None:
            if trainer.fast_dev_run:  # type: ignore[attr-defined]
                return  # nothing was calibrated, and nothing is reported
            raise ValueError(
                f"{name}: the checkpoint lacks its calibration, which a training with this callback and these "
                "parameters adds at its end; `litzoo fit --ckpt_path last` adds it to the checkpoints of a finished "
                "training"
            )
        require_same_options(self, self._fitted_with, pl_module)
        self.rule.require_promise()
        if self._coverage not in (None, self.rule.coverage):
            written = ", which metrics.json says as test/..._coverage_asked" if trainer.state.fn == "test" else ""
            rank_zero_warn(
                f"{name}.coverage: {self.rule.coverage:.4g} is asked, not the {self._coverage:.4g} of the "
                f"training{written}; the checkpoint and config.yaml keep the latter"
            )

    on_predict_start = on_test_start

    def evaluate_test(self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor]) -> None:
        """Logs the metrics."""
        if self.rule.scores is None or ("logits" in outputs and not bool((outputs["target"] >= 0).any())):
            return
        output, *more = (outputs[name] for name in self.rule.reads)
        for name, value in self.rule.evaluate(output, outputs["target"], *more).items():
            pl_module.log(f"test/{name}", value, sync_dist=True)
            if name in ("set_coverage", "interval_coverage"):
                pl_module.log(f"test/{name}_asked", self.rule.coverage, sync_dist=True)
        self.remarks = [f"{type(self).__name__}: {self.rule.promise()}."]

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds the sets or intervals to the outputs."""
        if self.rule.scores is not None:
            outputs |= self.rule.predict(*(outputs[name] for name in self.rule.reads))

    def state_dict(self) -> dict[str, Any]:
        """Returns what was calibrated, and the options of the module it was calibrated with."""
        fitted = self.rule.state_dict()
        return {**fitted, "fitted_with": self._fitted_with} if fitted else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what was calibrated."""
        self.rule.load_state_dict(state_dict)
        self._fitted_with = state_dict.get("fitted_with", {})
        self._coverage = state_dict.get("coverage")

    def calibration_outputs(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Tensor]:
        """Returns what `predict_part` does for the calibration samples."""
        part, _ = calibration_part(parts_of(trainer))
        return predict_part(trainer, pl_module, part, *self.rule.reads)

    def _fit(self, trainer: Trainer, pl_module: LightningModule) -> None:
        outputs = self.calibration_outputs(trainer, pl_module)
        output, *more = (outputs[name] for name in self.rule.reads)
        self.rule.fit(output, outputs["target"], *more)
        self._fitted_with = options_at_test_time(pl_module)
