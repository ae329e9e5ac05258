from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, cross_entropies


class SymmetricCrossEntropy(ClassificationLoss):
    """α · cross-entropy + β · reverse cross-entropy (Wang et al. 2019).

    The reverse one exchanges prediction and label, −Σ_k p_k log y_k, with log 0 taken as A: −A (1 − p), p the softmax
    value of the target. It is bounded, so that wrong labels cannot pull without limit.

    Args:
        alpha: Weight of the cross-entropy, at least 0.
        beta: Weight of the reverse one, at least 0.
        log_zero: A, below 0.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If a weight is negative, or A is not.
    """

    def __init__(
        self, alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha, self.beta = self.in_range("alpha", alpha, 0), self.in_range("beta", beta, 0)
        self.bound = -self.in_range("log_zero", log_zero, -1e6, -1e-6)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]`."""
        entropies = cross_entropies(logits, target)
        return self.reduce(self.alpha * entropies - self.beta * self.bound * (-entropies).expm1())
