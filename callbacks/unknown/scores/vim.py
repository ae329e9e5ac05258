import torch
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, principal_axes, to_float64


class ViM(UnknownScore):
    """Virtual-logit matching: the norm of the features outside their principal subspace (Wang et al., CVPR 2022).

    α · ‖residual‖ − log Σ_k exp(logit_k). The residual is the part of the features, relative to the origin −pinv(W) b,
    outside the subspace of the first principal axes of the training features. W and b are the weight and bias of the
    head or, if the head is not a single linear layer, of the least-squares fit of a linear layer to its logits. α makes
    the mean virtual logit of the training samples equal to their mean largest logit. The paper's softmax value of the
    virtual logit gives the same ranking.

    Args:
        dimension: Dimension of the principal subspace. By default that of the authors' code (1000 for D ≥ 2048
            features, 512 for D ≥ 768, else D // 2), or the rank of the training features minus one if that is less.

    Raises:
        ValueError: If the dimension is below 1; at `fit`, if the training features have no residual, or their largest
            logits are not positive on average.
    """

    fits = True
    uses_features = True

    def __init__(self, dimension: int | None = None) -> None:
        super().__init__()
        self.dimension = dimension
        if dimension is not None and dimension < 1:
            raise self._invalid("dimension", "is too small; give at least 1, or leave it out")

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns `origin` `[D]`, `residual` `[D, D − dimension]` (the axes of the residual), and `alpha`."""
        weight, bias = _least_squares_head(known) if head is None else _parameters(head)
        origin = -torch.linalg.pinv(weight) @ bias
        shifted = known.features - origin
        _, axes, rank = principal_axes(shifted)
        residual = axes[:, self._dimension(rank, len(axes)) :].contiguous()
        largest = known.logits.amax(dim=1).mean()
        if largest <= 0:
            raise ValueError(
                f"ViM scales its virtual logit by the largest logit, but that of the training samples is {largest:.3g} "
                "on average; choose another score"
            )
        return {"origin": origin, "residual": residual, "alpha": largest / (shifted @ residual).norm(dim=1).mean()}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        residual = (to_float64(evidence.features) - self.statistic("origin")) @ self.statistic("residual")
        return self.statistic("alpha") * residual.norm(dim=1) - to_float64(evidence.logits).logsumexp(dim=1)

    def _dimension(self, rank: int, size: int) -> int:
        if not rank:
            raise ValueError(
                "ViM: all training features are at the origin, where the head's logits are 0; choose another score"
            )
        if self.dimension is None:
            return min(1000 if size >= 2048 else 512 if size >= 768 else size // 2, rank - 1)
        if self.dimension >= rank:
            raise self._invalid(
                "dimension", f"is not below {rank}, the rank of the training features; give less, or leave it out"
            )
        return self.dimension


def _parameters(head: nn.Linear) -> tuple[Tensor, Tensor]:
    weight = head.weight.detach().cpu().double()
    return weight, weight.new_zeros(len(weight)) if head.bias is None else head.bias.detach().cpu().double()


def _least_squares_head(known: Evidence) -> tuple[Tensor, Tensor]:
    """Returns weight and bias of the least-squares fit of a linear layer from features to logits."""
    feature_mean, logit_mean = known.features.mean(dim=0), known.logits.mean(dim=0)
    features, logits = known.features - feature_mean, known.logits - logit_mean
    variances, axes, rank = principal_axes(features)
    axes = axes[:, :rank]
    weight = logits.T @ features / len(features) @ axes / variances[:rank] @ axes.T
    return weight, logit_mean - weight @ feature_mean
