import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, to_float64

MAX_ELEMENTS = 2**24
"""Largest number of distances, or of candidates' coordinates, in memory at a time: 64 MB in float32."""


class NearestNeighbors(UnknownScore):
    """Distance of the features, scaled to length 1, to the k-th nearest training sample (Sun et al., ICML 2022).

    The search is exact and runs in blocks. A matrix product in float32 finds 2 k candidates, which are ranked by their
    differences; where rounding could have hidden a nearer sample, the product is repeated in float64.

    Args:
        k: Which neighbour.

    Raises:
        ValueError: If k is below 1; at `fit` and when scoring, if there are fewer than k training samples.
    """

    fits = True
    uses_features = True

    def __init__(self, k: int = 50) -> None:
        super().__init__()
        self.k = k
        if k < 1:
            raise self._invalid("k", "is too small; give at least 1")

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns `directions`, the training features scaled to length 1, `[N, D]`, float32."""
        self._check_enough(known.features)
        return {"directions": _directions(known.features)}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]` in [0, 2]."""
        known = self.statistic("directions")
        self._check_enough(known)
        candidates = min(2 * self.k, len(known))
        rows = max(1, MAX_ELEMENTS // max(len(known), candidates * known.shape[1]))
        blocks = _directions(evidence.features).split(rows)
        return torch.cat([_kth_distances(block, known, self.k, candidates) for block in blocks])

    def _check_enough(self, known: Tensor) -> None:
        if self.k > len(known):
            raise self._invalid("k", f"neighbours of {len(known):,} training samples; give at most {len(known)}")


def _directions(features: Tensor) -> Tensor:
    return F.normalize(to_float64(features), dim=1).float()


def _kth_distances(queries: Tensor, known: Tensor, k: int, candidates: int) -> Tensor:
    near = _shifted_squared_distances(queries, known).topk(candidates, dim=1, largest=False)
    distances = to_float64((queries[:, None] - known[near.indices]).norm(dim=2).kthvalue(k, dim=1).values)
    # A dot product of unit vectors is off by at most D roundings; where TF32 is allowed, both factors have 11 bits.
    rounding = (known.shape[1] + 8) * torch.finfo(queries.dtype).eps
    if queries.is_cuda and torch.get_float32_matmul_precision() != "highest":
        rounding += 2**-8
    uncertain = distances.square() > near.values[:, -1] + queries.square().sum(dim=1) - rounding
    if candidates < len(known) and uncertain.any():
        exact = to_float64(queries[uncertain])
        nearest = _shifted_squared_distances(exact, to_float64(known)).kthvalue(k, dim=1).values
        distances[uncertain] = (nearest + exact.square().sum(dim=1)).clamp(min=0).sqrt()
    return distances


def _shifted_squared_distances(queries: Tensor, known: Tensor) -> Tensor:
    """Returns squared distances `[n, N]` minus the query's squared length, which does not change their order."""
    with torch.autocast(queries.device.type, enabled=False):
        return torch.addmm(known.square().sum(dim=1), queries, known.T, alpha=-2)
