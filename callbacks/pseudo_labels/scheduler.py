import math
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from litzoo.callbacks.pseudo_labels.pool import pool_learner


class Ramp:
    """A number that follows the course of training: `initial` before T1, rising to `final` at T2, then constant.

    T1 and T2 are both counted in epochs or both in steps. An epoch has one value: that of its start.

    Args:
        final: From T2 on.
        initial: Before T1.
        start_epoch: T1, counted from 0.
        end_epoch: T2.
        start_step: T1 in optimizer steps, instead.
        end_step: T2 in optimizer steps.
        shape: Way from T1 to T2: `linear`; `sigmoid`, exp(−5 (1 − t)²) of the way (Laine & Aila 2017); or `constant`,
            which is `initial` up to T2.

    Raises:
        ValueError: If T1 is not in the same unit as T2, is negative or after it, or a number is not finite.
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
                f"Ramp: start_epoch and end_epoch {by_epoch}, start_step and end_step {by_step}: give both epochs, or "
                "both steps"
            )
        self.start, self.end = start, end
        if not 0 <= self.start <= self.end:
            raise ValueError(
                f"Ramp: start_{self.unit} {self.start}, end_{self.unit} {self.end}; give a start from 0 up that is not "
                "after the end"
            )
        if not (math.isfinite(final) and math.isfinite(initial)):
            raise ValueError(f"Ramp: initial {initial}, final {final}; give finite numbers")
        if shape not in ("linear", "sigmoid", "constant"):
            raise ValueError(f"Ramp.shape: {shape!r} is none of linear, sigmoid, constant")
        self.initial, self.final, self.shape = initial, final, shape

    def __call__(self, epoch: int, step: int) -> float:
        """Returns the value at an epoch and an optimizer step, both counted from 0."""
        now = epoch if self.unit == "epoch" else step
        if now >= self.end:
            return self.final
        if now < self.start or self.shape == "constant":
            return self.initial
        passed = (now - self.start) / (self.end - self.start)
        way = passed if self.shape == "linear" else math.exp(-5 * (1 - passed) ** 2)
        return self.initial + way * (self.final - self.initial)


class PseudoLabelScheduler(Callback):
    """Lets the weight of the unlabeled term, and the threshold of confidence, follow the course of training.

    Both are functions of epoch and step alone: a resumed run goes on where it was.

    Args:
        weight: α(t) (Lee 2013); left out, the method's own stays.
        threshold: Likewise; its values are in [0, 1].

    Raises:
        ValueError: If neither is given, or a value is out of range.

    Example:
        >>> PseudoLabelScheduler(weight=Ramp(final=3.0, start_epoch=2, end_epoch=10)).ramps["weight"](6, 0)
        1.5
    """

    def __init__(self, weight: Ramp | None = None, threshold: Ramp | None = None) -> None:
        self._own: dict[str, float] = {}
        self.ramps = {name: ramp for name, ramp in (("weight", weight), ("threshold", threshold)) if ramp is not None}
        if not self.ramps:
            raise ValueError("PseudoLabelScheduler: neither weight nor threshold; give a Ramp for one of them")
        for name, ramp in self.ramps.items():
            least, most = min(ramp.initial, ramp.final), max(ramp.initial, ramp.final)
            if least < 0 or (name == "threshold" and most > 1):
                bounds = "from 0 up" if name == "weight" else "in [0, 1]"
                raise ValueError(f"PseudoLabelScheduler.{name}: from {ramp.initial} to {ramp.final} is not {bounds}")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a module without pseudo-labels, or whose method finds its threshold itself.

        Raises:
            ValueError: If it is one.
        """
        method = pool_learner(self, pl_module)
        if fixed := [name for name in self.ramps if name not in method.schedulable]:
            raise ValueError(
                f"PseudoLabelScheduler.{fixed[0]}: {type(method).__name__} sets its {fixed[0]} itself; leave it out"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the method's own values."""
        method = pool_learner(self, pl_module)
        self._own = {name: getattr(method, name) for name in self.ramps}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts them back, for a training without schedule."""
        for name, value in self._own.items():
            setattr(pool_learner(self, pl_module), name, value)
        self._own = {}

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Does so too when the training is interrupted."""
        self.on_train_end(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets what applies to the step."""
        method = pool_learner(self, pl_module)
        for name, ramp in self.ramps.items():
            setattr(method, name, ramp(trainer.current_epoch, trainer.global_step))
