import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, precise

MOST_NUMBERS = 2**24
"""How many distances, or coordinates of likely neighbours, are held at a time: 64 MB in float32."""


class NearestNeighbors(UnknownScore):
    """Distance to the k-th nearest training sample, of features scaled to length 1 (Sun et al., ICML 2022).

    All training samples are compared, block by block. Twice as many as needed are found by a product in float32 and
    ranked by their differences; where its rounding could have hidden a nearer one, the product is made in float64.

    Args:
        k: Which neighbour.

    Raises:
        ValueError: If k is below 1; at `fit` and when scoring, if there are fewer training samples.
    """

    fits = True
    uses_features = True

    def __init__(self, k: int = 50) -> None:
        super().__init__()
        self.k = k
        if k < 1:
            self.refuse("k", "is no neighbour; give at least 1")

    def learn(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns the directions of the training features `[N, D]`, float32."""
        self._check_enough(known.features)
        return {"directions": _directions(known.features)}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]` in [0, 2]."""
        known = self.learnt("directions")
        self._check_enough(known)
        likely = min(2 * self.k, len(known))
        rows = max(1, MOST_NUMBERS // max(len(known), likely * known.shape[1]))
        blocks = _directions(evidence.features).split(rows)
        return torch.cat([_kth_distances(block, known, self.k, likely) for block in blocks])

    def _check_enough(self, known: Tensor) -> None:
        if self.k > len(known):
            self.refuse("k", f"neighbours of {len(known):,} training samples; give at most {len(known)}")


def _directions(features: Tensor) -> Tensor:
    return F.normalize(precise(features), dim=1).float()


def _kth_distances(queries: Tensor, known: Tensor, k: int, likely: int) -> Tensor:
    near = _compare(queries, known).topk(likely, dim=1, largest=False)
    distances = precise((queries[:, None] - known[near.indices]).norm(dim=2).kthvalue(k, dim=1).values)
    # A product of D numbers of unit vectors is off by D roundings at most; on CUDA by more, where TF32 is allowed.
    rounding = torch.inf if queries.is_cuda else (known.shape[1] + 8) * torch.finfo(queries.dtype).eps
    doubtful = distances.square() > near.values[:, -1] + queries.square().sum(dim=1) - rounding
    if likely < len(known) and doubtful.any():
        some = precise(queries[doubtful])
        nearest = _compare(some, precise(known)).kthvalue(k, dim=1).values
        distances[doubtful] = (nearest + some.square().sum(dim=1)).clamp(min=0).sqrt()
    return distances


def _compare(queries: Tensor, known: Tensor) -> Tensor:
    """Returns squared distances `[n, N]`, less the query's own squared length, which does not change their order."""
    with torch.autocast(queries.device.type, enabled=False):
        return torch.addmm(known.square().sum(dim=1), queries, known.T, alpha=-2)
