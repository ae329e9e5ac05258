import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.datamodules.batch import SemiSupervisedBatch
from litzoo.lit_modules.semi_supervised.base import PseudoLabels, Student, UnlabeledTerm, frozen_running_statistics


class FixMatch(PseudoLabels):
    """Learns labels predicted on weakly augmented images for strongly augmented ones (Sohn et al. 2020).

    The label is the most probable class, if its predicted probability is at least `threshold`.

    Args:
        weight: See `PseudoLabels`.
        threshold: See `PseudoLabels`.
        align: See `PseudoLabels`.
    """

    def forward(self, student: Student, batch: SemiSupervisedBatch) -> UnlabeledTerm:
        """Computes the cross-entropy of strongly augmented images."""
        unlabeled = batch["unlabeled"]
        with torch.no_grad():
            confidence, label = self.probabilities(student(unlabeled["weak"]), student).max(dim=1)
        with frozen_running_statistics(student):
            logits = student(unlabeled["strong"]).float()
        losses = F.cross_entropy(logits, label, reduction="none")
        term = self.term(losses, label, confidence, unlabeled["index"])
        return term._replace(loss=term.loss + self.regularizer(logits, term))

    def regularizer(self, logits: Tensor, term: UnlabeledTerm) -> Tensor | float:
        """Returns a term added to the loss, from the logits `[U, K]` of strongly augmented images."""
        return 0.0
