from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, cross_entropies


class SymmetricCrossEntropy(ClassificationLoss):
    """α · cross-entropy + β · reverse cross-entropy (Wang et al. 2019).

    The reverse cross-entropy swaps prediction and label, −Σ_k p_k log y_k, with A in place of log 0: −A (1 − p), p the
    softmax of the target class. It is bounded, which limits the influence of wrong labels.

    Args:
        alpha: Weight of the cross-entropy, at least 0.
        beta: Weight of the reverse cross-entropy, at least 0.
        log_zero: A, below 0.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If a weight is negative, or A is not below 0.
    """

    def __init__(
        self, alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha, self.beta = self.in_range("alpha", alpha, 0), self.in_range("beta", beta, 0)
        self.bound = -self.in_range("log_zero", log_zero, -1e6, -1e-6)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        entropies = cross_entropies(logits, target)
        return self.reduce(self.alpha * entropies - self.beta * self.bound * (-entropies).expm1())
