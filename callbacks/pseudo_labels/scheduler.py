"""Schedules of the weight and the threshold of pseudo-labels."""

import math
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.pseudo_labels.pool import require_pseudo_labels


class Ramp:
    """A schedule: `initial` before T1, changing to `final` from T1 to T2, then constant.

    T1 and T2 are given both in epochs or both in optimizer steps. In epochs, the value is constant within an epoch.

    Args:
        final: Value from T2 on.
        initial: Value before T1.
        start_epoch: T1 as an epoch, counted from 0.
        end_epoch: T2 as an epoch.
        start_step: T1 as an optimizer step, counted from 0.
        end_step: T2 as an optimizer step.
        shape: Shape between T1 and T2: `linear`; `sigmoid`, exp(−5 (1 − t)²) with t from 0 to 1 (Laine & Aila 2017);
            or `constant`, which stays at `initial` until T2.

    Raises:
        ValueError: If T1 and T2 are not in the same unit, T1 is negative or after T2, a value is not finite, or the
            shape is none of these.
    """

    def __init__(
        self,
        final: float,
        initial: float = 0.0,
        start_epoch: int | None = None,
        end_epoch: int | None = None,
        start_step: int | None = None,
        end_step: int | None = None,
        shape: Literal["linear", "sigmoid", "constant"] = "linear",
    ) -> None:
        by_epoch, by_step = (start_epoch, end_epoch), (start_step, end_step)
        self.unit = "step" if by_epoch == (None, None) else "epoch"
        (start, end), other = (by_step, by_epoch) if self.unit == "step" else (by_epoch, by_step)
        if start is None or end is None or other != (None, None):
            raise ValueError(
                f"Ramp: start_epoch and end_epoch are {by_epoch}, start_step and end_step {by_step}: give either both "
                "epochs or both steps"
            )
        self.start, self.end = start, end
        if not 0 <= self.start <= self.end:
            raise ValueError(
                f"Ramp: start_{self.unit} {self.start}, end_{self.unit} {self.end}; the start has to be at least 0 and "
                "at most the end"
            )
        if not (math.isfinite(final) and math.isfinite(initial)):
            raise ValueError(f"Ramp: initial {initial}, final {final}; give finite numbers")
        if shape not in ("linear", "sigmoid", "constant"):
            raise ValueError(f"Ramp.shape: {shape!r} is not one of linear, sigmoid, constant")
        self.initial, self.final, self.shape = initial, final, shape

    def __call__(self, epoch: int, step: int) -> float:
        """Returns the value at an epoch and an optimizer step, both counted from 0."""
        now = epoch if self.unit == "epoch" else step
        if now >= self.end:
            return self.final
        if now < self.start or self.shape == "constant":
            return self.initial
        t = (now - self.start) / (self.end - self.start)
        progress = t if self.shape == "linear" else math.exp(-5 * (1 - t) ** 2)
        return self.initial + progress * (self.final - self.initial)


class PseudoLabelScheduler(Callback):
    """Schedules the weight of the unlabeled loss and the confidence threshold of pseudo-labels.

    Both depend on epoch and step only, so that a resumed run continues the schedule. At the end of training the values
    of the method are restored.

    Args:
        weight: Schedule of the weight, α(t) in Lee 2013. By default the weight is not changed.
        threshold: Schedule of the threshold, with values in [0, 1]. By default the threshold is not changed.

    Raises:
        ValueError: If neither is given, or a value is out of range.

    Example:
        >>> PseudoLabelScheduler(weight=Ramp(final=3.0, start_epoch=2, end_epoch=10)).ramps["weight"](6, 0)
        1.5
    """

    def __init__(self, weight: Ramp | None = None, threshold: Ramp | None = None) -> None:
        self._original: dict[str, float] = {}
        self.ramps = {name: ramp for name, ramp in (("weight", weight), ("threshold", threshold)) if ramp is not None}
        if not self.ramps:
            raise ValueError(
                "PseudoLabelScheduler: neither weight nor threshold is given; give a Ramp for at least one of them"
            )
        for name, ramp in self.ramps.items():
            least, most = min(ramp.initial, ramp.final), max(ramp.initial, ramp.final)
            if least < 0 or (name == "threshold" and most > 1):
                bounds = "at least 0" if name == "weight" else "in [0, 1]"
                raise ValueError(
                    f"PseudoLabelScheduler.{name}: from {ramp.initial} to {ramp.final}; all values have to be {bounds}"
                )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that the pseudo-label method of the module can be scheduled.

        Raises:
            ValueError: If the module has no pseudo-labels, or its method sets a scheduled value itself.
        """
        method = require_pseudo_labels(self, pl_module)
        if fixed := [name for name in self.ramps if name not in method.schedulable]:
            raise ValueError(
                f"PseudoLabelScheduler.{fixed[0]}: {type(method).__name__} sets its {fixed[0]} itself; leave it out"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stores the values of the method."""
        method = require_pseudo_labels(self, pl_module)
        self._original = {name: getattr(method, name) for name in self.ramps}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the values of the method, for a later training without schedule."""
        for name, value in self._original.items():
            setattr(require_pseudo_labels(self, pl_module), name, value)
        self._original = {}

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restores the values after an interrupted training too."""
        self.on_train_end(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets the values for the step."""
        method = require_pseudo_labels(self, pl_module)
        for name, ramp in self.ramps.items():
            setattr(method, name, ramp(trainer.current_epoch, trainer.global_step))
