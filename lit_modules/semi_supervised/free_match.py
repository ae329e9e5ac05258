import torch
from torch import Tensor

from litzoo.lit_modules.losses.base import one_hot
from litzoo.lit_modules.semi_supervised.base import Student, UnlabeledTerm
from litzoo.lit_modules.semi_supervised.fix_match import FixMatch


class FreeMatch(FixMatch):
    """FixMatch with an adaptive threshold for each class (Wang et al. 2023, FreeMatch).

    τ is a running mean of the confidence on the pool, starting from 1/K; p̃ that of the predicted probabilities. The
    threshold of class c is τ · p̃_c / max p̃: lower for classes that are still hard. The fairness term, computed on the
    strongly augmented images that are used, keeps a few classes from taking over.

    Args:
        weight: See `PseudoLabels`.
        fairness: Weight of the fairness term, at least 0; it is multiplied by `weight` too.
        memory: λ, the decay rate of the running means, in [0, 1).

    Raises:
        ValueError: If an option is out of range.
    """

    schedulable = ("weight",)

    def __init__(self, weight: float = 1.0, fairness: float = 0.01, memory: float = 0.999) -> None:
        super().__init__(weight, threshold=0.0)
        if not 0 <= fairness < float("inf"):
            raise ValueError(f"FreeMatch.fairness: {fairness} is not a finite number from 0 up")
        if not 0 <= memory < 1:
            raise ValueError(f"FreeMatch.memory: {memory} is outside [0, 1); 0.99 and 0.999 are usual")
        self.fairness, self.memory = fairness, memory

    def probabilities(self, logits: Tensor, student: Student) -> Tensor:
        """Returns predicted probabilities without gradient, `[U, K]`, and updates the running means."""
        probabilities = super().probabilities(logits, student)
        uniform = torch.full_like(probabilities[0], 1 / probabilities.shape[1])
        confidence, label = probabilities.max(dim=1)
        self.running_means(
            {
                "confidence": (confidence.mean(), uniform[0]),
                "probability": (probabilities.mean(dim=0), uniform),
                "labels": (one_hot(label, len(uniform)).mean(dim=0), uniform),
            }
        )
        return probabilities

    def current_threshold(self) -> float:
        """Returns τ."""
        return float(self._state.get("confidence", 0.0))

    def confident(self, confidence: Tensor, label: Tensor) -> Tensor:
        """Returns which samples reach the threshold of their class, bool `[U]`."""
        probability = self.state_on("probability", label.device)
        return confidence >= self.state_on("confidence", label.device) * (probability / probability.max())[label]

    def regularizer(self, logits: Tensor, term: UnlabeledTerm) -> Tensor | float:
        """Returns the fairness term, −H(SumNorm(p̃ / h̃), SumNorm(p̄ / h̄)).

        p is the mean predicted probability and h the histogram of predicted classes: running means on the pool (~), and
        those of the used images in the batch (¯).
        """
        if not self.fairness:
            return 0.0
        # Masks instead of a selection, whose size the host would have to wait for.
        used, count = term.used[:, None], term.used.sum()
        probabilities = torch.where(used, logits, 0).softmax(dim=1)
        predicted = one_hot(probabilities.argmax(dim=1), logits.shape[1])
        mean, histogram = ((each * used).sum(dim=0) / count.clamp(min=1) for each in (probabilities, predicted))
        pool = _sum_norm(self.state_on("probability", logits.device), self.state_on("labels", logits.device))
        fairness = self.fairness * (pool * (_sum_norm(mean, histogram) + 1e-12).log()).sum()
        return torch.where(count > 0, fairness, 0)


def _sum_norm(probability: Tensor, histogram: Tensor) -> Tensor:
    """Divides the probabilities of predicted classes by the histogram, and normalises their sum to 1."""
    scaled = torch.where(histogram > 0, probability / histogram.clamp(min=1e-12), 0)
    return scaled / scaled.sum().clamp(min=1e-12)  # all 0 if no image is used
