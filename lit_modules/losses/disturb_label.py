import torch
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, cross_entropies


class DisturbLabel(ClassificationLoss):
    """Cross-entropy with some labels replaced by random ones in every step (Xie et al. 2016).

    A regularizer: in training each label is replaced with probability α by one drawn from all K classes, including its
    own, so that a fraction of 1 − α (K − 1) / K stays correct. In evaluation no label is replaced.

    Args:
        alpha: Probability, in [0, 1]. The paper and the source article give it in percent: their 20 is 0.2 here.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If alpha is outside [0, 1].
    """

    def __init__(self, alpha: float = 0.1, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.alpha = self.in_range("alpha", alpha, 0, 1)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        checked(logits, target)  # before an invalid label may be replaced by a valid one
        if self.training:
            drawn = torch.randint(logits.shape[1], target.shape, device=target.device)
            target = torch.where(torch.rand(target.shape, device=target.device) < self.alpha, drawn, target)
        return self.reduce(cross_entropies(logits, target))
