import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked, one_for_each_class, one_hot


class LDAMLoss(ClassificationLoss):
    """Cross-entropy with a margin that is larger for rare classes, and late re-weighting (Cao et al. 2019, LDAM-DRW).

    The target's logit is lowered by a margin proportional to n^(−1/4), n the size of its class; then all logits are
    multiplied by a scale. From epoch `reweight_from` on, samples are also weighted by class.

    Args:
        max_margin: Margin of the rarest class, at least 0.
        scale: Factor of the logits. The paper's cosine logits times 30, with a margin of 0.5, are those of
            `WhitenedCNNClassifier(cosine_scale=30)` with `max_margin: 15` and a scale of 1 here, so that the classifier
            also predicts with the scaled logits.
        reweight_from: First epoch, counted from 0, with class weights; never by default.
        reduction: `mean` (weighted, as in torch), `sum` or `none`.

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
        """Returns the loss for logits `[B, K]` and classes `[B]`; `class_counts` and `class_weights` are `[K]`."""
        logits = checked(logits, target)
        rarity = one_for_each_class("class_counts", class_counts, logits).clamp(min=1) ** -0.25
        margins = self.max_margin * rarity / rarity.max()
        lowered = logits - one_hot(target, logits.shape[1]) * margins
        weights = one_for_each_class("class_weights", class_weights, logits)
        weights = weights if epoch >= self.reweight_from else torch.ones_like(weights)
        return F.cross_entropy(self.scale * lowered, target, weight=weights, reduction=self.reduction)
