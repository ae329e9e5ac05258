from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, to_float64
from litzoo.callbacks.unknown.scores.float64_rows import Float64Rows

MAX_ELEMENTS = 2**24
"""Largest number of distances, or of candidates' coordinates, in memory at a time: 64 MB in float32."""

GROUP = 16
"""Distances of which only the minimum is compared at first."""

MOST_NEIGHBORS = 50
"""The default k where classes are large."""
FEW = 40
"""Samples in the smallest class below which distances to neighbours are unreliable."""


class NearestNeighbors(UnknownScore):
    """Distance of the features, scaled to length 1, to the k-th nearest training sample (Sun et al., ICML 2022).

    The search is exact and runs in blocks. A matrix product in float32 finds 2 k candidates, which are ranked by their
    differences; where rounding could have hidden a nearer sample, the product is repeated in float64.

    Args:
        k: Which neighbour. By default 50, or a quarter of the smallest class if that is less: with a larger k, the
            neighbours of a sample of a small class are of other classes.

    Raises:
        ValueError: If k is below 1; at `fit` and when scoring, if there are fewer than k training samples.
    """

    fits = True
    uses_features = True

    def __init__(self, k: int | None = None) -> None:
        super().__init__()
        self.k = k
        if k is not None and k < 1:
            raise self._invalid("k", "is too small; give at least 1")

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns `directions`, the training features scaled to length 1, `[N, D]`, float32, and `k` if it is free."""
        if self.k is not None:
            self._check_enough(known.features)
            return {"directions": _all_directions(known.features)}
        k = min(MOST_NEIGHBORS, max(1, _smallest_class(target) // 4))
        return {"directions": _all_directions(known.features), "k": torch.tensor(k)}

    def caution(self, target: Tensor) -> str | None:
        """Warns of a k above a quarter of the smallest class, and of few samples."""
        smallest = _smallest_class(target)
        if self.k is not None and self.k > max(1, smallest // 4):
            return (
                f"NearestNeighbors.k: {self.k} is more than a quarter of the smallest class, which has {smallest} "
                f"training samples: neighbours will be of other classes; give at most {max(1, smallest // 4)}, or "
                "leave it out"
            )
        if self.k is None and smallest < FEW:
            return (
                f"NearestNeighbors: the smallest class has only {smallest} training samples; its score is unreliable "
                "with so few. Compare it with a score of logits, such as MaxLogit, in `report`"
            )
        return None

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]` in [0, 2]."""
        known = self.statistic("directions")
        self._check_enough(known)
        k = self.k if self.k is not None else int(self.statistic("k"))
        candidates = min(2 * k, len(known))
        if torch.compiler.is_compiling():  # an export has neither blocks nor branches that depend on values
            return _kth_distances(_directions(evidence.features), known, k, candidates, refine=False)
        rows = max(1, MAX_ELEMENTS // max(len(known), candidates * known.shape[1]))
        blocks = _directions(evidence.features).split(rows)
        return torch.cat([_kth_distances(block, known, k, candidates) for block in blocks])

    def freeze(self) -> None:
        """Makes a k that was chosen at `fit` a parameter."""
        if self.k is None:
            self.k = int(self.statistic("k"))

    def _check_enough(self, known: Tensor) -> None:
        if self.k is not None and self.k > len(known):
            raise self._invalid("k", f"neighbours of {len(known):,} training samples; give at most {len(known)}")


def _smallest_class(target: Tensor) -> int:
    counts = target.bincount()
    return int(counts[counts > 0].min())


def _directions(features: Tensor) -> Tensor:
    return F.normalize(to_float64(features), dim=1).float()


def _all_directions(features: Tensor) -> Tensor:
    return torch.cat([_directions(block) for block in Float64Rows(features)])


def _kth_distances(queries: Tensor, known: Tensor, k: int, candidates: int, refine: bool = True) -> Tensor:
    """Returns the distances `[n]` of queries to their k-th nearest; without `refine` up to rounding in float32."""
    near, positions = _smallest(_shifted_squared_distances(queries, known), candidates)
    to_candidates = (queries[:, None] - known[positions]).norm(dim=2)
    if not refine:
        return to_float64(to_candidates.topk(k, dim=1, largest=False).values[:, -1])
    distances = to_float64(to_candidates.kthvalue(k, dim=1).values)
    # A dot product of unit vectors is off by at most D roundings.
    rounding = (known.shape[1] + 8) * torch.finfo(queries.dtype).eps
    uncertain = distances.square() > near[:, -1] + queries.square().sum(dim=1) - rounding
    if candidates < len(known) and uncertain.any():
        exact = to_float64(queries[uncertain])
        nearest = _shifted_squared_distances(exact, to_float64(known)).kthvalue(k, dim=1).values
        distances[uncertain] = (nearest + exact.square().sum(dim=1)).clamp(min=0).sqrt()
    return distances


def _shifted_squared_distances(queries: Tensor, known: Tensor) -> Tensor:
    """Returns squared distances `[n, N]` minus the query's squared length, which does not change their order."""
    with torch.autocast(queries.device.type, enabled=False), _full_float32():
        return torch.addmm(known.square().sum(dim=1), queries, known.T, alpha=-2)


def _smallest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the smallest values of each row `[n, N]` and their positions, in ascending order, `[n, count]`.

    Each of them is in one of the `count` groups with the smallest minima, so that only those are sorted.
    """
    groups = values.shape[1] // GROUP
    if groups <= 2 * count or values.device.type != "cpu" or torch.compiler.is_compiling():
        smallest = values.topk(count, dim=1, largest=False)
        return smallest.values, smallest.indices
    grouped = groups * GROUP  # member m of group g is at position m * groups + g
    minima = values[:, :grouped].unflatten(1, (GROUP, groups)).amin(dim=1)
    chosen = minima.topk(count, dim=1, largest=False).indices
    members = (chosen[:, :, None] + groups * torch.arange(GROUP)).flatten(1)
    rest = torch.arange(grouped, values.shape[1]).expand(len(values), -1)
    members = torch.cat([members, rest], dim=1)
    nearest = values.gather(1, members).topk(count, dim=1, largest=False)
    return nearest.values, members.gather(1, nearest.indices)


@contextmanager
def _full_float32() -> Iterator[None]:
    """Multiplies matrices without TF32 or bfloat16, whatever is allowed: with 11 bits, few neighbours are certain."""
    if torch.compiler.is_compiling():
        yield
        return
    backends: list[Any] = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)]
    if not all(hasattr(each, "fp32_precision") for each in backends):  # before torch 2.9
        allowed = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(allowed)
        return
    before = [each.fp32_precision for each in backends]  # torch's older functions fail if both ways are mixed
    try:
        for each in backends:
            each.fp32_precision = "ieee"
        yield
    finally:
        for each, precision in zip(backends, before, strict=True):
            each.fp32_precision = precision
