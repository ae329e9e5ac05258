from torch import Tensor

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, to_float64


class MaxLogit(UnknownScore):
    """Minus the largest logit (Hendrycks et al., ICML 2022; Vaze et al., ICLR 2022).

    Unlike the softmax, the logits depend on the norm of the features, which is smaller for unknown samples.
    """

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        return -to_float64(evidence.logits).amax(dim=1)
