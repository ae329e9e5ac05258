from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, cross_entropies


class FocalLoss(ClassificationLoss):
    """(1 − p)^γ · cross-entropy, p the softmax of the target class: easy samples have less weight (Lin et al. 2017).

    Args:
        gamma: γ, at least 0; 0 is cross-entropy.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If gamma is negative.
    """

    def __init__(self, gamma: float = 2.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.gamma = self.in_range("gamma", gamma, 0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        entropies = cross_entropies(logits, target)
        # Where p rounds to 1, the gradient of (1 − p)^γ would be infinite for γ < 1.
        missing = (-(-entropies).expm1()).clamp(min=1e-12)
        return self.reduce(missing**self.gamma * entropies)
