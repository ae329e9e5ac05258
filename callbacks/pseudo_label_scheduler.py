from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.pool_learner import pool_learner
from callbacks.ramp import Ramp


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
            raise ValueError(
                "PseudoLabelScheduler: neither weight nor threshold; give a callbacks.Ramp for one of them"
            )
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
