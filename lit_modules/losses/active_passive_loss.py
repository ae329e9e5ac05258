from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked


class ActivePassiveLoss(ClassificationLoss):
    """NCE + RCE: α · normalised cross-entropy + β · reverse cross-entropy (Ma et al. 2020).

    Normalised: the cross-entropy of the target over the sum of those of all K classes, which makes it robust, but slow;
    the reverse one (see `SymmetricCrossEntropy`) makes up for it.

    Args:
        alpha: Weight of the normalised cross-entropy, at least 0.
        beta: Weight of the reverse one, at least 0.
        log_zero: What log 0 is taken as, below 0.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If a weight is negative, or `log_zero` is not.
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 1.0, log_zero: float = -4.0, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha, self.beta = self.in_range("alpha", alpha, 0), self.in_range("beta", beta, 0)
        self.bound = -self.in_range("log_zero", log_zero, -1e6, -1e-6)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]`."""
        entropies = -checked(logits, target).log_softmax(dim=1)
        wanted = entropies.gather(1, target[:, None])[:, 0]
        normalised = wanted / entropies.sum(dim=1)
        return self.reduce(self.alpha * normalised - self.beta * self.bound * (-wanted).expm1())
