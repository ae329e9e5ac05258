import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked


class Bootstrapping(ClassificationLoss):
    """Cross-entropy with a target that is partly the model's own belief (Reed et al. 2015).

    The target is β · label + (1 − β) · belief: the softmax (soft), or its largest class alone (hard). With β = 1 it is
    cross-entropy; the nearer the softmax is to one class, the less soft and hard differ.

    Args:
        beta: β, in [0, 1]; the paper uses 0.95 for soft and 0.8 for hard.
        hard: Whether the belief is the largest class alone.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If beta is outside [0, 1].
    """

    def __init__(self, beta: float = 0.8, hard: bool = True, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.beta, self.hard = self.in_range("beta", beta, 0, 1), hard

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]`."""
        logits = checked(logits, target)
        log_softmax = logits.log_softmax(dim=1)
        belief = F.one_hot(logits.argmax(dim=1), logits.shape[1]) if self.hard else log_softmax.exp()
        wanted = log_softmax.gather(1, target[:, None])[:, 0]
        return self.reduce(-self.beta * wanted - (1 - self.beta) * (belief * log_softmax).sum(dim=1))
