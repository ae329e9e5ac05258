from torch import Tensor

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, log_probabilities


class MaxSoftmax(UnknownScore):
    """1 − the largest softmax value (Hendrycks & Gimpel, "A baseline for detecting ...", ICLR 2017).

    A threshold of 0.2 means "unknown if the confidence is below 0.8".
    """

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]` in [0, 1)."""
        return log_probabilities(evidence.logits)[1].amin(dim=1).exp()
