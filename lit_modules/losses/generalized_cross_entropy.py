from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, cross_entropies


class GeneralizedCrossEntropy(ClassificationLoss):
    """(1 − p^q) / q, p the softmax of the target class (Zhang & Sabuncu 2018).

    Between cross-entropy (q → 0) and absolute error (q = 1): samples whose label has a low predicted probability, which
    are often mislabeled, have smaller gradients. q = 0 is cross-entropy.

    Args:
        q: In [0, 1].
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If q is outside [0, 1].
    """

    def __init__(self, q: float = 0.7, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.q = self.in_range("q", q, 0, 1)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        entropies = cross_entropies(logits, target)
        return self.reduce(-(-self.q * entropies).expm1() / self.q if self.q else entropies)
