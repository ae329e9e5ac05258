import numpy as np
import torch
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, to_float64
from litzoo.callbacks.unknown.scores.float64_rows import linear_head


class ReAct(UnknownScore):
    """Energy of the logits that the head computes from clipped features (Sun, Guo & Li, NeurIPS 2021).

    Single features of unknown samples are often far larger than any of known samples, and make their logits too
    large. All features are clipped at one value, a percentile of the features of the training samples. If the head is
    not a single linear layer, the least-squares fit of one to its logits is used.

    Args:
        percentile: Percentile of all training features at which features are clipped, in (0, 100). The paper's is 90.

    Raises:
        ValueError: If the percentile is outside (0, 100).
    """

    fits = True
    uses_features = True

    def __init__(self, percentile: float = 90.0) -> None:
        super().__init__()
        self.percentile = percentile
        if not 0 < percentile < 100:
            raise self._invalid("percentile", "is outside (0, 100)")

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns `clip`, a scalar, and the head's `weight` `[K, D]` and `bias` `[K]`."""
        weight, bias = linear_head(known, head)
        features = known.features if known.features.dtype == torch.float64 else known.features.float()
        clip = torch.tensor(np.percentile(features.numpy(), self.percentile), dtype=torch.float64)
        return {"clip": clip, "weight": weight, "bias": bias}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        clipped = torch.minimum(to_float64(evidence.features), self.statistic("clip"))
        return -(clipped @ self.statistic("weight").T + self.statistic("bias")).logsumexp(dim=1)
