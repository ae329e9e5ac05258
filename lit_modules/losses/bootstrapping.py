from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, one_hot


class Bootstrapping(ClassificationLoss):
    """Cross-entropy with a target that is partly the model's own prediction (Reed et al. 2015).

    The target is β · label + (1 − β) · prediction: the softmax (soft), or its most probable class (hard). β = 1 is
    cross-entropy. Soft and hard differ little for confident predictions.

    Args:
        beta: β, in [0, 1]; the paper uses 0.95 for soft and 0.8 for hard.
        hard: Whether the prediction is the most probable class instead of the softmax.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If beta is outside [0, 1].
    """

    def __init__(self, beta: float = 0.8, hard: bool = True, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.beta, self.hard = self.in_range("beta", beta, 0, 1), hard

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        logits = checked(logits, target)
        log_softmax = logits.log_softmax(dim=1)
        prediction = one_hot(logits.argmax(dim=1), logits.shape[1]) if self.hard else log_softmax.exp()
        of_target = log_softmax.gather(1, target[:, None])[:, 0]
        return self.reduce(-self.beta * of_target - (1 - self.beta) * (prediction * log_softmax).sum(dim=1))
