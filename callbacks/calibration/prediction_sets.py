"""Lightning callbacks for conformal prediction; they run the plain classes of `conformal.py`."""

from abc import abstractmethod
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from litzoo.callbacks.calibration.conformal import Conformal, ConformalIntervals, ConformalSets, Method
from litzoo.callbacks.calibration.part import calibration_part, require_fraction, reserve_calibration
from litzoo.callbacks.checkpoints.atomic_io import add_state_to_checkpoints
from litzoo.callbacks.contracts import STEP_OUTPUTS, require_class_names
from litzoo.callbacks.evaluation import options_at_test_time, predict_part
from litzoo.callbacks.plain_modules import PlainLoaders, collect, parts_of, predicts, reading
from litzoo.callbacks.reporting.predictions_csv import PredictionsCSV
from litzoo.lit_modules.metrics import EpochOutputs


class _ConformalCallback(Callback):
    """Base class: calibrates at the end of training with the weights of each checkpoint, and evaluates in a test.

    Args:
        rule: What is calibrated.
        calibration_fraction: See `PredictionSets`.

    Attributes:
        calibrates: Whether the callback is calibrated on the module's outputs.
        output: Key of the outputs of the module's test and predict steps that the rule reads.
        remarks: What the summary of a test says below its metrics.
    """

    calibrates = True
    output = "logits"

    def __init__(self, rule: Conformal, calibration_fraction: float | None) -> None:
        require_fraction(type(self).__name__, calibration_fraction)
        self.rule, self.calibration_fraction = rule, calibration_fraction
        self.remarks: list[str] = []
        self._tested = EpochOutputs("target", self.output)
        self._fitted_with: dict[str, Any] = {}

    @abstractmethod
    def require_module(self, module: LightningModule) -> None:
        """Raises a TypeError if the module is of another task."""

    @abstractmethod
    def require_enough(self, target: Tensor) -> None:
        """Raises a ValueError if the calibration samples, of targets `[n]`, are too few for the coverage."""

    def require_many(self, count: int) -> None:
        """Raises a ValueError if so many calibration samples, of whatever targets, are too few for the coverage."""
        if not getattr(self.rule, "per_class", False):  # else the targets say more, at the end of the training
            self.require_enough(torch.zeros(count, dtype=torch.int64))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and callbacks, and reserves calibration samples.

        Raises:
            TypeError: If module or datamodule are of another task.
            ValueError: If there are no or too few validation samples, or `PredictionsCSV` comes before this callback.
        """
        name, datamodule = type(self).__name__, parts_of(trainer)
        self.require_module(pl_module)
        callbacks = list(trainer.callbacks)  # type: ignore[attr-defined]
        if stage == "predict" and any(isinstance(each, PredictionsCSV) for each in callbacks[: callbacks.index(self)]):
            raise ValueError(f"{name}: list it before PredictionsCSV, which would otherwise write predictions without")
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
                    f"{name} is calibrated on validation samples, but data.val_size is 0: set it, or "
                    "give the trainer a validation loader"
                )
            return
        if not others:
            reserve_calibration(name, datamodule, self.calibration_fraction)
        part = calibration_part(datamodule)[1]
        if stage == "fit" and hasattr(part, "targets"):
            self.require_enough(torch.as_tensor(part.targets)[part.indices])

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resets what was fitted to other weights, also if the checkpoint has no state of this callback."""
        self.rule.load_state_dict({})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Resets what was fitted to weights that change from now on.

        Raises:
            ValueError: If a plain loader has too few validation samples.
        """
        self.rule.load_state_dict({})
        parts = parts_of(trainer)
        if isinstance(parts, PlainLoaders) and hasattr(parts.val_set, "__len__"):
            self.require_many(len(parts.val_set))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Calibrates for the weights of each checkpoint, and adds the result to its file."""
        if not trainer.fast_dev_run and trainer.global_step:  # type: ignore[attr-defined]
            add_state_to_checkpoints(self, trainer, pl_module, lambda: self._fit(trainer, pl_module))
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
        options = options_at_test_time(pl_module)
        if differing := [each for each in options if self._fitted_with.get(each) != options[each]]:
            raise ValueError(
                f"{name}: calibrated with {differing[0]} {self._fitted_with.get(differing[0])}, but the module has "
                f"{options[differing[0]]}; use the former, or calibrate again with `litzoo fit --ckpt_path last` and "
                "the latter"
            )
        self.rule.require_promise()
        self._tested.reset()

    on_predict_start = on_test_start

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collects the outputs of the step."""
        collect(self._tested, trainer, reading(self, pl_module, "test_step"), outputs, batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers the outputs of all processes and logs the metrics."""
        outputs = self._tested.to(pl_module.device).gather()
        if self.rule.scores is None or not bool((outputs["target"] >= 0).any() if self.output == "logits" else True):
            return
        for name, value in self.rule.evaluate(outputs[self.output], outputs["target"]).items():
            pl_module.log(f"test/{name}", value, sync_dist=True)
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
            outputs |= self.rule.predict(outputs[self.output])

    def state_dict(self) -> dict[str, Any]:
        """Returns what was calibrated, and the options of the module it was calibrated with."""
        fitted = self.rule.state_dict()
        return {**fitted, "fitted_with": self._fitted_with} if fitted else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what was calibrated."""
        self.rule.load_state_dict(state_dict)
        self._fitted_with = state_dict.get("fitted_with", {})

    def _fit(self, trainer: Trainer, pl_module: LightningModule) -> None:
        part, _ = calibration_part(parts_of(trainer))
        outputs = predict_part(trainer, pl_module, part, self.output)
        self.rule.fit(outputs[self.output], outputs["target"])
        self._fitted_with = options_at_test_time(pl_module)


class PredictionSets(_ConformalCallback):
    """Predicts sets of classes that contain the true class with a given probability, by split conformal prediction.

    The guarantee holds on average, for samples of known classes that are drawn like the calibration samples. See
    `ConformalSets` for the methods. A set has at least the most likely class.

    Logs in a test `test/set_coverage`, `test/set_size` (mean number of classes) and, with `per_class`,
    `test/set_coverage/<class>`. Adds `prediction_set` to predictions; in `predictions.csv` the names are joined by `|`.

    Args:
        coverage: Probability that a set contains the true class, in (0, 1).
        method: `lac` for the smallest sets, `aps` for sets that are larger where the model is not confident.
        per_class: Whether the coverage holds for every true class, not only on average over the classes.
        calibration_fraction: Fraction of the validation samples that only calibrate, in [0, 1); by default a half from
            1,000 on, else 0: all validation samples calibrate, and choose the epoch too. An `UnknownClassDetector`
            beside it decides for both.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coverage: float = 0.9,
        method: Method = "lac",
        per_class: bool = False,
        calibration_fraction: float | None = None,
    ) -> None:
        self.sets = ConformalSets(coverage, method, per_class)
        super().__init__(self.sets, calibration_fraction)

    def require_module(self, module: LightningModule) -> None:
        """Checks that the module has class names.

        Raises:
            TypeError: If it has not.
        """
        require_class_names(self, "predicts sets of classes", module)
        names: Any = module.class_names
        self.sets.class_names = list(names)

    def require_enough(self, target: Tensor) -> None:
        """Checks the number of calibration samples, of each class with `per_class`.

        Raises:
            ValueError: If they are too few.
        """
        self.sets.require_enough(target[target >= 0], len(self.sets.class_names))


class PredictionIntervals(_ConformalCallback):
    """Predicts intervals that contain the true number with a given probability, by split conformal prediction.

    All intervals have the same width; see `ConformalIntervals`. The guarantee holds on average, for samples that are
    drawn like the calibration samples.

    Logs in a test `test/interval_coverage` and `test/interval_width`, in the target's units. Adds `lower` and `upper`
    to predictions.

    Args:
        coverage: Probability that an interval contains the true number, in (0, 1).
        calibration_fraction: Fraction of the validation samples that only calibrate, in [0, 1); by default a half from
            1,000 on, else 0.

    Raises:
        ValueError: If an argument is out of range.
    """

    output = "prediction"

    def __init__(self, coverage: float = 0.9, calibration_fraction: float | None = None) -> None:
        self.intervals = ConformalIntervals(coverage)
        super().__init__(self.intervals, calibration_fraction)

    def require_module(self, module: LightningModule) -> None:
        """Checks that the module is no classifier or detector.

        Raises:
            TypeError: If it has class names.
        """
        if hasattr(module, "class_names"):
            raise TypeError(
                f"PredictionIntervals is for predicted numbers, but a {type(module).__name__} predicts classes: use "
                "PredictionSets, or remove the callback"
            )

    def require_enough(self, target: Tensor) -> None:
        """Checks the number of calibration samples.

        Raises:
            ValueError: If they are too few.
        """
        self.intervals.require_enough(target)
