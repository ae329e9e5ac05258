import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, one_for_each_class


class LDAMLoss(ClassificationLoss):
    """Cross-entropy with a margin that is larger for rare classes, and late re-weighting (Cao et al. 2019, LDAM-DRW).

    The target's logit is lowered by a margin in proportion to n^(−1/4), n the size of its class; then all logits are
    multiplied by a scale. From an epoch on, samples also count as their class weights say.

    Args:
        max_margin: Margin of the rarest class, at least 0.
        scale: Of the logits; 30 in the paper, whose logits are cosines, 1 for plain ones.
        reweight_from: Epoch, counted from 0, from which class weights count; never when left out.
        reduction: `mean` (over the weights, as in torch), `sum` or `none`.

    Raises:
        ValueError: If the margin or the epoch is negative, or the scale not above 0.
    """

    def __init__(
        self,
        max_margin: float = 0.5,
        scale: float = 1.0,
        reweight_from: int | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.max_margin = self.in_range("max_margin", max_margin, 0)
        self.scale = self.in_range("scale", scale, 1e-6)
        self.reweight_from = float("inf") if reweight_from is None else self.in_range("reweight_from", reweight_from, 0)

    def forward(
        self, logits: Tensor, target: Tensor, class_counts: Tensor, class_weights: Tensor, epoch: int
    ) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]`; counts and weights of the classes are `[K]`."""
        logits = checked(logits, target)
        rarity = one_for_each_class("class_counts", class_counts, logits).clamp(min=1) ** -0.25
        margins = self.max_margin * rarity / rarity.max()
        lowered = logits - F.one_hot(target, logits.shape[1]) * margins
        weights = one_for_each_class("class_weights", class_weights, logits)
        weights = weights if epoch >= self.reweight_from else torch.ones_like(weights)
        return F.cross_entropy(self.scale * lowered, target, weight=weights, reduction=self.reduction)
