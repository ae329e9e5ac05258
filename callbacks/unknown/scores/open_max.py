import torch
from scipy.stats import weibull_min
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, distances, to_float64

_MIN_DISTANCE = 1e-12


class OpenMax(UnknownScore):
    """Probability of an additional "unknown" class (Bendale & Boult, CVPR 2016).

    Fitted for each class: the mean logit vector of its correctly classified training samples, and a Weibull
    distribution of the largest distances of these samples to it. A sample's r-th largest logit v (r from 0) is reduced
    by v · (α − r) / α · F(distance), F the cumulative distribution; the sum of these reductions over the α largest
    logits is the logit of the unknown class. The weights (α − r) / α are those of the authors' code; here distances are
    Euclidean and the Weibull distributions start at 0, so that no constant depends on the scale of the logits.

    Args:
        tail: How many of the largest distances of each class the Weibull distribution is fitted to.
        alpha: How many of the largest logits are reduced; all if there are fewer.

    Raises:
        ValueError: If the tail is below 2 or alpha below 1; at `fit`, if a class has fewer correctly classified samples
            than the tail.
    """

    fits = True

    def __init__(self, tail: int = 20, alpha: int = 3) -> None:
        super().__init__()
        self.tail, self.alpha = tail, alpha
        if tail < 2:
            raise self._invalid("tail", "is too small; give at least 2")
        if alpha < 1:
            raise self._invalid("alpha", "is too small; give at least 1")

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns the class `means` `[K, K]`, and `shape` and `scale` `[K]` of the Weibull distributions."""
        right, classes = known.logits.argmax(dim=1) == target, known.logits.shape[1]
        counts = target[right].bincount(minlength=classes)
        if (fewest := int(counts.min())) < self.tail:
            raise self._invalid(
                "tail",
                f"distances per class, but class {int(counts.argmin())} (of {classes}, from 0) has only {fewest} "
                "correctly classified training samples; give a smaller tail, or train longer",
            )
        means, shapes, scales = [], [], []
        for label in range(classes):
            logits = known.logits[right & (target == label)]
            means.append(logits.mean(dim=0))
            shape, scale = _weibull((logits - means[-1]).norm(dim=1).topk(self.tail).values)
            shapes.append(shape)
            scales.append(scale)
        return {
            "means": torch.stack(means),
            "shape": torch.tensor(shapes, dtype=torch.float64),
            "scale": torch.tensor(scales, dtype=torch.float64),
        }

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]` in [0, 1]."""
        means, logits = self.statistic("means"), to_float64(evidence.logits)
        distance = distances(logits, means)
        distance_cdf = -(-(self.statistic("shape") * (distance / self.statistic("scale")).log()).exp()).expm1()
        rank = _ranks(logits)
        alpha = min(self.alpha, logits.shape[1])
        reduction = logits * (1 - rank / alpha).clamp(min=0) * distance_cdf
        revised = torch.cat([logits - reduction, reduction.sum(dim=1, keepdim=True)], dim=1)
        return revised.softmax(dim=1)[:, -1]


def _ranks(logits: Tensor) -> Tensor:
    """Returns the rank of each logit in its row, from 0 for the largest, `[N, K]`; the first of equals comes first."""
    if not torch.compiler.is_compiling():
        return logits.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    own, other = logits[:, :, None], logits[:, None, :]  # ONNX has no stable sort
    position = torch.arange(logits.shape[1], device=logits.device)
    return ((other > own) | ((other == own) & (position < position[:, None]))).sum(dim=2)


def _weibull(distances: Tensor) -> tuple[float, float]:
    """Returns shape and scale of a Weibull distribution from 0; a step function if all distances are equal."""
    distances = distances.clamp(min=_MIN_DISTANCE)
    largest = float(distances.max())
    scaled = (distances / largest).numpy()
    if scaled.min() > 1 - 1e-9:
        return 1e6, largest
    shape, _, scale = weibull_min.fit(scaled, floc=0)
    return float(shape), float(scale) * largest
