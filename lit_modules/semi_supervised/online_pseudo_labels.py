import torch.nn.functional as F

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm


class OnlinePseudoLabels(PseudoLabels):
    """Uses the currently most probable class as the label (Lee 2013, Pseudo-Label).

    It is predicted and learned on the same view. Early labels are often wrong: let `PseudoLabelScheduler` raise the
    weight.

    Args:
        weight: See `PseudoLabels`; the paper raises it to 3.
        threshold: See `PseudoLabels`; 0, as in the paper, uses all samples.
        align: See `PseudoLabels`.
    """

    def __init__(self, weight: float = 1.0, threshold: float = 0.0, align: bool = False) -> None:
        super().__init__(weight, threshold, align)

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Computes the cross-entropy for the most probable classes of weakly augmented images."""
        logits = student(batch["unlabeled"]["weak"])
        confidence, label = self.probabilities(logits, student).max(dim=1)
        losses = F.cross_entropy(logits.float(), label, reduction="none")
        return self.term(losses, label, confidence, batch["unlabeled"]["index"])
