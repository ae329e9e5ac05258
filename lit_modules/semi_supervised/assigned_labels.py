from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm, frozen_running_statistics


class AssignedLabels(PseudoLabels):
    """Fixed pseudo-labels, assigned by a callback from a teacher or from the model itself.

    The callbacks are `TeacherLabels` (once, before training) and `CurriculumLabels` (repeatedly).

    Args:
        weight: See `PseudoLabels`. The threshold is assigned with the labels.
        view: The view of a sample that is learned from: `weak`, augmented like labeled samples, or `strong`.

    Raises:
        ValueError: If the view is unknown.
    """

    schedulable = ("weight",)

    def __init__(self, weight: float = 1.0, view: Literal["weak", "strong"] = "weak") -> None:
        super().__init__(weight)
        if view not in ("weak", "strong"):
            raise ValueError(f"AssignedLabels.view: {view!r} is none of weak, strong")
        self.view = view

    def assign(self, label: Tensor, confidence: Tensor, threshold: float) -> None:
        """Assigns labels; every process must assign the same.

        Args:
            label: One for each position in the full training set, int64 `[N]`; only those of the pool are used. A
                negative one means no label.
            confidence: Its predicted probability, float32 `[N]`.
            threshold: Minimum confidence of a label that is learned.
        """
        minimum = torch.tensor(threshold, dtype=torch.float32)  # half-precision training changes the default dtype
        self._state |= {"label": label, "confidence": confidence, "threshold": minimum}

    def current_threshold(self) -> float:
        """Returns the threshold assigned with the labels; 1 before."""
        return float(self._state.get("threshold", 1.0))

    def confident(self, confidence: Tensor, label: Tensor) -> Tensor:
        """Returns which samples have a label that is confident enough, bool `[U]`."""
        return (confidence >= self.state_on("threshold", confidence.device)) & (label >= 0)

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Computes the cross-entropy for the assigned labels.

        Raises:
            RuntimeError: If no labels have been assigned.
        """
        if "label" not in self._state:
            raise RuntimeError(
                "AssignedLabels: no labels were assigned; add TeacherLabels or CurriculumLabels to trainer.callbacks"
            )
        unlabeled = batch["unlabeled"]
        index = unlabeled["index"]
        label, confidence = (self.state_on(name, index.device)[index] for name in ("label", "confidence"))
        if self.view == "weak":
            logits = student(unlabeled["weak"])
        else:
            with frozen_running_statistics(student):
                logits = student(unlabeled["strong"])
        losses = F.cross_entropy(logits.float(), label.clamp(min=0), reduction="none")
        return self.term(losses, label, confidence, index)
