import torch
from torch import Tensor

from litzoo.lit_modules.semi_supervised.base import Student, UnlabeledTerm
from litzoo.lit_modules.semi_supervised.fix_match import FixMatch


class FreeMatch(FixMatch):
    """FixMatch with a threshold for each class that follows what the network believes (Wang et al. 2023, FreeMatch).

    τ is a running mean of the confidence over the pool, from 1/K up; p̃ one of the beliefs. The threshold of class c is
    τ · p̃_c / max p̃: lower for classes that the network still finds hard. The fairness term, of the strongly augmented
    samples that are used, is to keep a few classes from taking over.

    Args:
        weight: See `PseudoLabels`.
        fairness: Weight of the fairness term, at least 0; `weight` multiplies it too.
        memory: λ of the running means, in [0, 1).

    Raises:
        ValueError: If one of them is out of range.
    """

    schedulable = ("weight",)

    def __init__(self, weight: float = 1.0, fairness: float = 0.01, memory: float = 0.999) -> None:
        super().__init__(weight, threshold=0.0)
        if not 0 <= fairness < float("inf"):
            raise ValueError(f"FreeMatch.fairness: {fairness} is not a finite number from 0 up")
        if not 0 <= memory < 1:
            raise ValueError(f"FreeMatch.memory: {memory} is outside [0, 1); 0.99 and 0.999 are usual")
        self.fairness, self.memory = fairness, memory

    def beliefs(self, logits: Tensor, student: Student) -> Tensor:
        """Returns class probabilities without gradient, `[U, K]`, and moves the running means by them."""
        beliefs = super().beliefs(logits, student)
        even = torch.full_like(beliefs[0], 1 / beliefs.shape[1])
        self.running("confidence", beliefs.max(dim=1).values.mean(), start=even[0])
        self.running("belief", beliefs.mean(dim=0), start=even)
        self.running("labels", self._fractions(beliefs.argmax(dim=1), len(even)), start=even)
        return beliefs

    def current_threshold(self) -> float:
        """Returns τ."""
        return float(self._kept.get("confidence", 0.0))

    def confident(self, confidence: Tensor, label: Tensor) -> Tensor:
        """Compares with the threshold of each sample's own class."""
        belief = self.kept("belief", label.device)
        return confidence >= self.kept("confidence", label.device) * (belief / belief.max())[label]

    def regularizer(self, logits: Tensor, term: UnlabeledTerm) -> Tensor | float:
        """Returns the fairness term, −H(SumNorm(p̃ / h̃), SumNorm(p̄ / h̄)).

        Beliefs over how often each class is the answer, h, of the pool so far (~) and of the batch as far as used (¯).
        """
        if not self.fairness or not term.used.any():
            return 0.0
        used = logits[term.used].softmax(dim=1)
        answered = self._fractions(used.argmax(dim=1), logits.shape[1])
        pool = _normalised(self.kept("belief", logits.device), self.kept("labels", logits.device))
        here = _normalised(used.mean(dim=0), answered)
        return self.fairness * (pool * (here + 1e-12).log()).sum()

    @staticmethod
    def _fractions(label: Tensor, classes: int) -> Tensor:
        return torch.bincount(label, minlength=classes).float() / len(label)


def _normalised(values: Tensor, by: Tensor) -> Tensor:
    """Divides the values of classes that were answered by how often they were; their sum is 1."""
    scaled = torch.where(by > 0, values / by.clamp(min=1e-12), 0)
    return scaled / scaled.sum()
