import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm, statistics_kept


class FixMatch(PseudoLabels):
    """Labels what is weakly augmented, learns it strongly augmented (Sohn et al. 2020).

    Only samples whose likeliest class has a probability of at least `threshold` are learned from, with that class as
    their label.

    Args:
        weight: See `PseudoLabels`.
        threshold: See `PseudoLabels`.
        align: See `PseudoLabels`.
    """

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Returns the cross-entropies of strongly augmented samples."""
        unlabeled = batch["unlabeled"]
        with torch.no_grad():
            confidence, label = self.beliefs(student(unlabeled["weak"]), student).max(dim=1)
        with statistics_kept(student):
            logits = student(unlabeled["strong"]).float()
        losses = F.cross_entropy(logits, label, reduction="none")
        term = self.term(losses, label, confidence, unlabeled["index"])
        return term._replace(loss=term.loss + self.regularizer(logits, term))

    def regularizer(self, logits: Tensor, term: UnlabeledTerm) -> Tensor | float:
        """Returns what is added to the loss, given the logits `[U, K]` of the strongly augmented samples."""
        return 0.0
