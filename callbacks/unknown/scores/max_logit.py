from torch import Tensor

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, precise


class MaxLogit(UnknownScore):
    """− the largest logit (Hendrycks et al., ICML 2022; Vaze et al., ICLR 2022).

    Unlike the softmax it keeps the length of the features, which is shorter for what a network has not seen.
    """

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        return -precise(evidence.logits).amax(dim=1)
