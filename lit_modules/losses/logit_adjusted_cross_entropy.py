import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, one_for_each_class


class LogitAdjustedCrossEntropy(ClassificationLoss):
    """Cross-entropy of logits + τ · log(class fractions), for imbalanced training sets (Menon et al. 2021).

    τ = 1 is the balanced softmax (Ren et al. 2020); τ = 0, or balanced classes, cross-entropy. The logits without the
    adjustment then fit a balanced test set.

    Args:
        tau: τ, at least 0.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If tau is negative.
    """

    def __init__(self, tau: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.tau = self.in_range("tau", tau, 0)

    def forward(self, logits: Tensor, target: Tensor, class_counts: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]`, classes `[B]` and the class counts of the training set `[K]`."""
        logits = checked(logits, target)
        counts = one_for_each_class("class_counts", class_counts, logits)
        adjusted = logits + torch.xlogy(self.tau, counts / counts.sum())  # 0 with tau 0, even without samples
        return self.reduce(F.cross_entropy(adjusted, target, reduction="none"))
