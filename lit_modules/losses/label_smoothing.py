from typing import Literal

from torch import Tensor

from litzoo.lit_modules.losses.base import ClassificationLoss, Reduction, checked


class LabelSmoothing(ClassificationLoss):
    """Cross-entropy with a smoothed target (Szegedy et al. 2016).

    Two conventions are in use, which are equivalent for α_all = α_others · K / (K − 1):

    - `all`: torch's and the paper's, α / K for every class, so that the target class has 1 − α + α / K;
    - `others`: the source article's, α / (K − 1) for every other class, so that the target class has 1 − α.

    Args:
        alpha: Probability moved away from the target class, in [0, 1].
        spread: Where it is moved to, `all` or `others`.
        reduction: `mean`, `sum` or `none`.

    Raises:
        ValueError: If alpha is outside [0, 1], or `spread` is unknown.
    """

    def __init__(
        self, alpha: float = 0.1, spread: Literal["all", "others"] = "all", reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha = self.in_range("alpha", alpha, 0, 1)
        if spread not in ("all", "others"):
            raise ValueError(f"LabelSmoothing.spread: {spread!r} is neither 'all' nor 'others'")
        self.spread = spread

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Returns the loss for logits `[B, K]` and classes `[B]`."""
        entropies = -checked(logits, target).log_softmax(dim=1)
        of_target = entropies.gather(1, target[:, None])[:, 0]
        if self.spread == "all":
            return self.reduce((1 - self.alpha) * of_target + self.alpha * entropies.mean(dim=1))
        others = (entropies.sum(dim=1) - of_target) / (logits.shape[1] - 1)
        return self.reduce((1 - self.alpha) * of_target + self.alpha * others)
