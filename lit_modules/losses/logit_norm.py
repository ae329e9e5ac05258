import torch.nn.functional as F
from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked


class LogitNorm(ClassificationLoss):
    """Cross-entropy of logits normalised to the norm 1 / τ (Wei et al., ICML 2022).

    Training cannot raise the confidence by larger logits; their norm then helps to detect out-of-distribution samples.

    Args:
        temperature: τ, above 0; 0.04 in the paper for CIFAR-10.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If the temperature is not above 0.
    """

    def __init__(self, temperature: float = 0.04, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        if not 0 < temperature < float("inf"):
            raise ValueError(f"LogitNorm.temperature: {temperature} is not above 0")
        self.temperature = temperature

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        directions = F.normalize(checked(logits, target), dim=1, eps=1e-7)
        return self.reduce(F.cross_entropy(directions / self.temperature, target, reduction="none"))
