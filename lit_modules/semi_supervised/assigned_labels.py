from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm, statistics_kept


class AssignedLabels(PseudoLabels):
    """Labels that stay as they are for a while: a callback assigns them, from a teacher or from the model itself.

    The callbacks are `TeacherLabels` (once, before training) and `CurriculumLabels` (again and again).

    Args:
        weight: See `PseudoLabels`. The threshold comes with the labels.
        view: Which view of a sample is learned, the one augmented as labeled samples are or the strong one.

    Raises:
        ValueError: If the view is neither.
    """

    schedulable = ("weight",)

    def __init__(self, weight: float = 1.0, view: Literal["weak", "strong"] = "weak") -> None:
        super().__init__(weight)
        if view not in ("weak", "strong"):
            raise ValueError(f"AssignedLabels.view: {view!r} is none of weak, strong")
        self.view = view

    def assign(self, label: Tensor, confidence: Tensor, threshold: float) -> None:
        """Takes labels over; every process has to be given the same.

        Args:
            label: One for each position in the full training set, int64 `[N]`; it matters in the pool alone. Below 0
                there is none.
            confidence: How sure each one is, float32 `[N]`.
            threshold: Confidence from which a label is learned.
        """
        least = torch.tensor(threshold, dtype=torch.float32)  # a trainer may have made another type the default
        self._kept |= {"label": label, "confidence": confidence, "threshold": least}

    def current_threshold(self) -> float:
        """Returns the threshold that came with the labels; 1 before."""
        return float(self._kept.get("threshold", 1.0))

    def confident(self, confidence: Tensor, label: Tensor) -> Tensor:
        """Says which samples have a label that is sure enough."""
        return super().confident(confidence, label) & (label >= 0)

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Returns the cross-entropies of the labels assigned.

        Raises:
            RuntimeError: If none were.
        """
        if "label" not in self._kept:
            raise RuntimeError(
                "AssignedLabels: nobody has assigned labels; add TeacherLabels or CurriculumLabels to trainer.callbacks"
            )
        unlabeled = batch["unlabeled"]
        index = unlabeled["index"]
        label, confidence = (self.kept(name, index.device)[index] for name in ("label", "confidence"))
        if self.view == "weak":
            logits = student(unlabeled["weak"])
        else:
            with statistics_kept(student):
                logits = student(unlabeled["strong"])
        losses = F.cross_entropy(logits.float(), label.clamp(min=0), reduction="none")
        return self.term(losses, label, confidence, index)
