from torch import Tensor

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, log_probabilities


class Entropy(UnknownScore):
    """Entropy of the softmax, −Σ_k p_k log p_k, in nats, at most log K."""

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        log_p, _ = log_probabilities(evidence.logits)
        return -(log_p.exp() * log_p).sum(dim=1)
