import torch.nn.functional as F

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm


class OnlinePseudoLabels(PseudoLabels):
    """The class that the network finds likeliest just now is the label (Lee 2013, Pseudo-Label).

    Labels are given and learned on one and the same view. They are worth little at first: let `PseudoLabelScheduler`
    raise the weight.

    Args:
        weight: See `PseudoLabels`; in the end 3 in the paper.
        threshold: See `PseudoLabels`; 0, as in the paper, learns from all samples.
        align: See `PseudoLabels`.
    """

    def __init__(self, weight: float = 1.0, threshold: float = 0.0, align: bool = False) -> None:
        super().__init__(weight, threshold, align)

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Returns the cross-entropies of the likeliest classes of weakly augmented samples."""
        logits = student(batch["unlabeled"]["weak"])
        confidence, label = self.beliefs(logits, student).max(dim=1)
        losses = F.cross_entropy(logits.float(), label, reduction="none")
        return self.term(losses, label, confidence, batch["unlabeled"]["index"])
