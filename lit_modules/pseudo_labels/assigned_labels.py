from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.batch import SemiSupervisedBatch
from lit_modules.pseudo_labels.pseudo_labels import PseudoLabels, Student, UnlabeledTerm, statistics_kept


class AssignedLabels(PseudoLabels):
    """Labels that stay as they are for a while: a callback assigns them, from a teacher or from the model itself.

    The callbacks are `TeacherLabels` (once, before training) and `CurriculumLabels` (again and again).

    Args:
        weight: See `PseudoLabels`.
        threshold: See `PseudoLabels`; a callback may set another one with the labels.
        view: Which view of a sample is learned, the one augmented as labeled samples are or the strong one.

    Raises:
        ValueError: If the view is neither.
    """

    def __init__(self, weight: float = 1.0, threshold: float = 0.95, view: Literal["weak", "strong"] = "weak") -> None:
        super().__init__(weight, threshold)
        if view not in ("weak", "strong"):
            raise ValueError(f"AssignedLabels.view: {view!r} is none of weak, strong")
        self.view = view

    def assign(self, label: Tensor, confidence: Tensor, threshold: float | None = None) -> None:
        """Takes labels over; every process has to be given the same.

        Args:
            label: One for each position in the full training set, int64 `[N]`; it matters in the pool alone.
            confidence: How sure each one is, float32 `[N]`.
            threshold: From here on; left out, that of the constructor or of the schedule.
        """
        self._kept |= {"label": label, "confidence": confidence}
        self._kept.pop("threshold", None)
        if threshold is not None:
            self._kept["threshold"] = torch.tensor(threshold)

    def current_threshold(self) -> float:
        """Returns the threshold that came with the labels, else one's own."""
        return float(self._kept.get("threshold", self.threshold))

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Returns the cross-entropies of the labels assigned.

        Raises:
            RuntimeError: If none were.
        """
        if "label" not in self._kept:
            raise RuntimeError(
                "AssignedLabels: nobody has assigned labels; add callbacks.TeacherLabels or callbacks.CurriculumLabels "
                "to trainer.callbacks"
            )
        unlabeled = batch["unlabeled"]
        index = unlabeled["index"]
        label, confidence = (self.kept(name, index.device)[index] for name in ("label", "confidence"))
        if self.view == "weak":
            logits = student(unlabeled["weak"])
        else:
            with statistics_kept(student):
                logits = student(unlabeled["strong"])
        losses = F.cross_entropy(logits.float(), label, reduction="none")
        return self.term(losses, label, confidence, index)
