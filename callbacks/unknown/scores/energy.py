from torch import Tensor

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, to_float64


class Energy(UnknownScore):
    """−T · log Σ_k exp(logit_k / T), the free energy (Liu et al., NeurIPS 2020).

    Args:
        temperature: T. Near 0 the score is that of `MaxLogit`.

    Raises:
        ValueError: If the temperature is not a positive finite number.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        if not 0 < temperature < float("inf"):
            raise self._invalid("temperature", "is not a positive finite number")

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        return -self.temperature * (to_float64(evidence.logits) / self.temperature).logsumexp(dim=1)
