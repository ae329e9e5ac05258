import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OneHotSquaredError(nn.Module):
    """Squared distance between the softmax and the one-hot target (the Brier score, divided by K), of the source.

    With K classes, `mean_k (softmax(logits)_k - [k = target])²`, averaged over the batch. Its gradient vanishes where
    the softmax is confidently wrong, which is why it learns more slowly than cross-entropy.

    Args:
        reduction: `mean` over the batch, or `none` for one loss a sample.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "none"):
            raise ValueError(f"reduction: {reduction!r} is neither 'mean' nor 'none'")
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]`: a scalar, or `[B]` with `reduction="none"`."""
        one_hot = F.one_hot(target, logits.shape[1])
        # Half precision would round small squares to 0.
        probabilities = logits.softmax(dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))
        losses = (probabilities - one_hot).square().mean(dim=1)
        return losses.mean() if self.reduction == "mean" else losses
