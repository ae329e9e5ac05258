import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, checked, one_for_each_class


class WeightedCrossEntropy(ClassificationLoss):
    """Cross-entropy weighted by class, for imbalanced training sets.

    The weights come from the datamodule's option `class_weighting`. As in torch, `mean` is a weighted mean.

    Args:
        reduction: `mean`, `sum` or `none`.
    """

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`; `class_weights` is `[K]`."""
        logits = checked(logits, target)
        weights = one_for_each_class("class_weights", class_weights, logits)
        return F.cross_entropy(logits, target, weight=weights, reduction=self.reduction)
