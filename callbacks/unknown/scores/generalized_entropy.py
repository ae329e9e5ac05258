from torch import Tensor

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, log_probabilities


class GeneralizedEntropy(UnknownScore):
    """Σ p^γ (1 − p)^γ over the M most likely classes, p the softmax (GEN, Liu, Lochman & Zach, CVPR 2023).

    With a small γ, small deviations from a confident prediction weigh more than they do in the entropy.

    Args:
        gamma: γ, in (0, 1).
        top: M; all classes if there are fewer.

    Raises:
        ValueError: If γ is outside (0, 1) or M below 1.
    """

    def __init__(self, gamma: float = 0.1, top: int = 100) -> None:
        super().__init__()
        self.gamma, self.top = gamma, top
        if not 0 < gamma < 1:
            raise self._invalid("gamma", "is outside (0, 1)")
        if top < 1:
            raise self._invalid("top", "is too small; give at least 1")

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        log_p, log_rest = log_probabilities(evidence.logits)
        likeliest = log_p.topk(min(self.top, log_p.shape[1]), dim=1)
        return (self.gamma * (likeliest.values + log_rest.gather(1, likeliest.indices))).exp().sum(dim=1)
