import torch
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, precise, principal_axes


class ViM(UnknownScore):
    """A virtual logit for what the features have outside of their principal subspace (Wang et al., CVPR 2022).

    α · |residual| − log Σ_k exp(logit_k). The residual is what of a feature, seen from −pinv(W) b, lies outside of the
    space of the first principal axes of the training features; W and b are the head's, or, where it is not one linear
    layer, those of the linear layer that comes nearest to its logits. α makes the training samples' mean virtual logit
    as large as their mean largest logit. The paper's softmax value of the virtual logit ranks samples the same.

    Args:
        dimension: Of the principal subspace. When left out, that of the authors' code (1000 of D ≥ 2048 features, 512
            of D ≥ 768, else D // 2), or one less than the training features span if that is fewer.

    Raises:
        ValueError: If the dimension is below 1; at `fit`, if it leaves the training features no residual, or their
            largest logits are not positive on average.
    """

    fits = True
    uses_features = True

    def __init__(self, dimension: int | None = None) -> None:
        super().__init__()
        self.dimension = dimension
        if dimension is not None and dimension < 1:
            self.refuse("dimension", "is no dimension; give at least 1, or leave it out")

    def learn(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns `origin` `[D]`, `residual` `[D, D − dimension]`, the axes of the residual, and `alpha`."""
        weight, bias = _fitted_head(known) if head is None else _parameters(head)
        origin = -torch.linalg.pinv(weight) @ bias
        seen = known.features - origin
        _, axes, rank = principal_axes(seen)
        residual = axes[:, self._dimension(rank, len(axes)) :].contiguous()
        largest = known.logits.amax(dim=1).mean()
        if largest <= 0:
            raise ValueError(
                f"ViM scales its virtual logit by the largest logit, but that of the training samples is {largest:.3g} "
                "on average; take another score"
            )
        return {"origin": origin, "residual": residual, "alpha": largest / (seen @ residual).norm(dim=1).mean()}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        residual = (precise(evidence.features) - self.learnt("origin")) @ self.learnt("residual")
        return self.learnt("alpha") * residual.norm(dim=1) - precise(evidence.logits).logsumexp(dim=1)

    def _dimension(self, rank: int, size: int) -> int:
        if not rank:
            raise ValueError("ViM: the training features are all where the head sees 0; take another score")
        if self.dimension is None:
            return min(1000 if size >= 2048 else 512 if size >= 768 else size // 2, rank - 1)
        if self.dimension >= rank:
            self.refuse(
                "dimension", f"is all of the {rank} that the training features span; give less, or leave it out"
            )
        return self.dimension


def _parameters(head: nn.Linear) -> tuple[Tensor, Tensor]:
    weight = head.weight.detach().cpu().double()
    return weight, weight.new_zeros(len(weight)) if head.bias is None else head.bias.detach().cpu().double()


def _fitted_head(known: Evidence) -> tuple[Tensor, Tensor]:
    """Returns W and b that make the logits of the features, as far as a linear layer can."""
    center, level = known.features.mean(dim=0), known.logits.mean(dim=0)
    varied, wanted = known.features - center, known.logits - level
    variances, axes, rank = principal_axes(varied)
    axes = axes[:, :rank]
    weight = wanted.T @ varied / len(varied) @ axes / variances[:rank] @ axes.T
    return weight, level - weight @ center
