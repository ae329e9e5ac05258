import torch
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, to_float64
from litzoo.callbacks.unknown.scores.float64_rows import Float64Rows, linear_head, principal_axes

_EXPLAINED = 0.99


class ViM(UnknownScore):
    """Virtual-logit matching: the norm of the features outside their principal subspace (Wang et al., CVPR 2022).

    α · ‖residual‖ − log Σ_k exp(logit_k). The residual is the part of the features, relative to the origin −pinv(W) b,
    outside the subspace of the first principal axes of the training features. W and b are the weight and bias of the
    head or, if the head is not a single linear layer, of the least-squares fit of a linear layer to its logits. α makes
    the mean virtual logit of the training samples equal to their mean largest logit. The paper's softmax value of the
    virtual logit gives the same ranking.

    Args:
        dimension: Dimension of the principal subspace. By default the smallest that holds 99 % of the mean square of
            the training features, and less than their rank. (The authors' code has 1000 for D ≥ 2048 features, 512
            for D ≥ 768, else D // 2; trained heads of narrow networks vary in far fewer directions.)

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
        weight, bias = linear_head(known, head)
        origin = -torch.linalg.pinv(weight) @ bias
        shifted = Float64Rows(known.features, origin[None])
        variances, axes, rank = principal_axes(shifted.scatter())
        residual = axes[:, self._dimension(variances, rank) :].contiguous()
        largest = known.logits.amax(dim=1).mean()
        if largest <= 0:
            raise ValueError(
                f"ViM scales its virtual logit by the largest logit, but that of the training samples is {largest:.3g} "
                "on average; choose another score"
            )
        norms = torch.cat([(block @ residual).norm(dim=1) for block in shifted])
        return {"origin": origin, "residual": residual, "alpha": largest / norms.mean()}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        residual = (to_float64(evidence.features) - self.statistic("origin")) @ self.statistic("residual")
        return self.statistic("alpha") * residual.norm(dim=1) - to_float64(evidence.logits).logsumexp(dim=1)

    def _dimension(self, variances: Tensor, rank: int) -> int:
        if not rank:
            raise ValueError(
                "ViM: all training features are at the origin, where the head's logits are 0; choose another score"
            )
        if self.dimension is None:
            explained = variances.cumsum(dim=0) / variances.sum()
            return min(int((explained < _EXPLAINED).sum()) + 1, rank - 1)
        if self.dimension >= rank:
            raise self._invalid(
                "dimension", f"is not below {rank}, the rank of the training features; give less, or leave it out"
            )
        return self.dimension
