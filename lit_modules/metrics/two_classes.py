"""How well two classes are ranked: average precision and AUROC, for imbalanced data beside the accuracy."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat


class TwoClassRanking(Metric):
    """Average precision and AUROC of the second class, the positive one, ranked by its probability.

    Neither depends on a threshold, or on a temperature. By chance, the average precision is the fraction of samples of
    the second class, and the AUROC 0.5.
    """

    margins: list[Tensor]
    positive: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("margins", [], dist_reduce_fx="cat")
        self.add_state("positive", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds logits `[B, 2]` and classes `[B]`."""
        self.margins.append((preds[:, 1] - preds[:, 0]).float())
        self.positive.append(target)

    def compute(self) -> Any:
        """Returns `average_precision` and `auroc`, NaN if a logit is; nothing if one of the classes has no sample."""
        margins, positive = (dim_zero_cat(each).cpu().reshape(-1) for each in (self.margins, self.positive))
        if len(positive.unique()) < 2:
            return {}
        if margins.isnan().any():
            return dict.fromkeys(("average_precision", "auroc"), torch.tensor(torch.nan))
        # torchmetrics takes the sigmoid of logits, which in float32 makes confident predictions equal: ranks instead.
        ranks = margins.unique(return_inverse=True)[1].double()
        ranks = ranks / ranks.max().clamp(min=1)
        return {
            "average_precision": binary_average_precision(ranks, positive),
            "auroc": binary_auroc(ranks, positive),
        }
