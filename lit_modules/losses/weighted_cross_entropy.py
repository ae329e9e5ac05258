import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, checked, one_for_each_class


class WeightedCrossEntropy(ClassificationLoss):
    """Cross-entropy in which every class counts as its weight says, so that rare ones count more.

    The weights come from the datamodule, by its option `class_weighting`. As in torch, the mean is a weighted one.

    Args:
        reduction: `mean`, `sum` or `none`.
    """

    def forward(self, logits: Tensor, target: Tensor, class_weights: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]` and classes `[B]`; `class_weights` is `[K]`."""
        logits = checked(logits, target)
        weights = one_for_each_class("class_weights", class_weights, logits)
        return F.cross_entropy(logits, target, weight=weights, reduction=self.reduction)
