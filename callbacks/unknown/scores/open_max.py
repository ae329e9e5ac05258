import torch
from scipy.stats import weibull_min
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, precise

SMALLEST = 1e-12


class OpenMax(UnknownScore):
    """Probability of one more class, which takes from the others what lies far from them (Bendale & Boult, CVPR 2016).

    Of each class: the mean of the logits of its correctly recognised training samples, and a Weibull distribution of
    their largest distances to it. A sample's r-th largest logit v (r from 0) loses v · (α − r) / α · F(distance), F the
    cumulative distribution, and the sum of what the α largest lose is the logit of one more class. The weights
    (α − r) / α are those of the authors' code; distances here are Euclidean and the Weibull distributions start at 0,
    so that no constant depends on the scale of the logits.

    Args:
        tail: How many of the largest distances of each class are fitted.
        alpha: How many of the largest logits lose; all where there are fewer.

    Raises:
        ValueError: If the tail is below 2 or alpha below 1; at `fit`, if a class has fewer correctly recognised samples
            than the tail.
    """

    fits = True

    def __init__(self, tail: int = 20, alpha: int = 3) -> None:
        super().__init__()
        self.tail, self.alpha = tail, alpha
        if tail < 2:
            self.refuse("tail", "distances; give at least 2")
        if alpha < 1:
            self.refuse("alpha", "logits; give at least 1")

    def learn(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns `means` `[K, K]`, and `shape` and `scale` `[K]` of the Weibull distributions."""
        right, classes = known.logits.argmax(dim=1) == target, known.logits.shape[1]
        counts = target[right].bincount(minlength=classes)
        if (fewest := int(counts.min())) < self.tail:
            self.refuse(
                "tail",
                f"distances a class, but of target {int(counts.argmin())} (of {classes}, from 0) only {fewest} "
                "training samples are recognised correctly; give less, or train longer",
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
        means, logits = self.learnt("means"), precise(evidence.logits)
        distances = torch.cdist(logits, means, compute_mode="donot_use_mm_for_euclid_dist")
        far = -(-(self.learnt("shape") * (distances / self.learnt("scale")).log()).exp()).expm1()
        place = logits.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        alpha = min(self.alpha, logits.shape[1])
        lost = logits * (1 - place / alpha).clamp(min=0) * far
        revised = torch.cat([logits - lost, lost.sum(dim=1, keepdim=True)], dim=1)
        return revised.softmax(dim=1)[:, -1]


def _weibull(distances: Tensor) -> tuple[float, float]:
    """Returns shape and scale of the likeliest Weibull distribution from 0; a step where all distances are the same."""
    distances = distances.clamp(min=SMALLEST)
    largest = float(distances.max())
    parts = (distances / largest).numpy()
    if parts.min() > 1 - 1e-9:
        return 1e6, largest
    shape, _, scale = weibull_min.fit(parts, floc=0)
    return float(shape), float(scale) * largest
