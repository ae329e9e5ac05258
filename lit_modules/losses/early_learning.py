from torch import Tensor

from litzoo.lit_modules.losses._sample_rows import _SampleRowsLoss
from litzoo.lit_modules.losses.base import Reduction, checked, cross_entropies


class EarlyLearningRegularization(_SampleRowsLoss):
    """Cross-entropy + λ · log(1 − ⟨p, t⟩), t a running mean of past predicted probabilities (Liu et al. 2020, ELR).

    A network learns correct labels first and memorises wrong ones later; the second term keeps its early predictions.
    t ← β · t + (1 − β) · p for a sample each time it is in a batch.

    The running means, K numbers for each training sample, are saved in checkpoints. In distributed training every
    process holds all of them.

    Args:
        weight: λ, at least 0.
        memory: β, in [0, 1).
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If the weight is negative, or the memory outside [0, 1).
    """

    def __init__(self, weight: float = 3.0, memory: float = 0.7, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.weight = self.in_range("weight", weight, 0)
        if not 0 <= memory < 1:
            raise ValueError(f"{type(self).__name__}.memory: {memory} is outside [0, 1)")
        self.memory = memory

    def forward(self, logits: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Returns the loss of logits `[B, K]`, classes `[B]` and the samples' positions in the training set `[B]`."""
        probabilities = checked(logits, target).softmax(dim=1).clamp(1e-4, 1 - 1e-4)
        past = self._rows_of(index, probabilities)
        if self.training:
            new = probabilities.detach() / probabilities.detach().sum(dim=1, keepdim=True)
            past = self.memory * past + (1 - self.memory) * new.to(past.dtype)
            self._store(index, past)
        agreement = (probabilities * past).sum(dim=1).clamp(max=1 - 1e-6)
        return self.reduce(cross_entropies(logits, target) + self.weight * (1 - agreement).log())
