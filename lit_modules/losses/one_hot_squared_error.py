from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, checked, one_hot


class OneHotSquaredError(ClassificationLoss):
    """Squared error between the softmax and the one-hot target (the Brier score divided by K), from the source.

    With K classes, `mean_k (softmax(logits)_k - [k = target])²`, averaged over the batch. Its gradient vanishes for
    confident wrong predictions, so that it learns more slowly than cross-entropy.

    Args:
        reduction: `mean`, `sum` or `none`.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        probabilities = checked(logits, target).softmax(dim=1)
        return self.reduce((probabilities - one_hot(target, logits.shape[1])).square().mean(dim=1))
