from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked


class ActivePassiveLoss(ClassificationLoss):
    """NCE + RCE: α · normalised cross-entropy + β · reverse cross-entropy (Ma et al. 2020).

    The normalised cross-entropy is that of the target class divided by the sum over all K classes, which is robust to
    label noise but learns slowly; the reverse cross-entropy (see `SymmetricCrossEntropy`) compensates for that.

    Args:
        alpha: Weight of the normalised cross-entropy, at least 0.
        beta: Weight of the reverse cross-entropy, at least 0.
        log_zero: Value used for log 0, below 0.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If a weight is negative, or `log_zero` is not below 0.
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 1.0, log_zero: float = -4.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha, self.beta = self.in_range("alpha", alpha, 0), self.in_range("beta", beta, 0)
        self.bound = -self.in_range("log_zero", log_zero, -1e6, -1e-6)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        entropies = -checked(logits, target).log_softmax(dim=1)
        of_target = entropies.gather(1, target[:, None])[:, 0]
        normalised = of_target / entropies.sum(dim=1)
        return self.reduce(self.alpha * normalised - self.beta * self.bound * (-of_target).expm1())
