from typing import Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule
from torch import Tensor


@runtime_checkable
class LearnsPool(Protocol):
    """A way to learn from unlabeled samples."""

    weight: float  # of the unlabeled term
    threshold: float  # confidence from which samples are learned from
    schedulable: tuple[str, ...]  # which of the two may be changed during training

    def current_threshold(self) -> float:
        """Returns the threshold in use, which some methods find themselves."""
        ...

    def bar(self, barred: Tensor) -> None:
        """Leaves samples out from now on, by their position in the full training set, bool `[N]`."""
        ...


@runtime_checkable
class TakesLabels(LearnsPool, Protocol):
    """One whose labels come from outside."""

    def assign(self, label: Tensor, confidence: Tensor, threshold: float) -> None:
        """Takes over labels (none below 0) and confidences, by position in the full training set, and a threshold."""
        ...

    def barred(self, index: Tensor) -> Tensor:
        """Says which samples, at positions `[U]`, are left out."""
        ...


def pool_learner(callback: Callback, module: LightningModule) -> LearnsPool:
    """Returns how a module learns from unlabeled samples.

    Raises:
        ValueError: If it does not.
    """
    method = getattr(module, "pseudo_labels", None)
    if not isinstance(method, LearnsPool):
        raise ValueError(
            f"{type(callback).__name__} works on pseudo-labels, and {type(module).__name__} has none: set "
            "model.pseudo_labels, lit_modules.FixMatch for example, or remove the callback"
        )
    return method
