import torch
from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, precise, principal_axes


class Mahalanobis(UnknownScore):
    """Squared Mahalanobis distance of the features to the nearest class mean (Lee et al., NeurIPS 2018).

    The covariance is that of the training features around their classes' means, shared by all classes. Directions in
    which these do not vary do not count: it is inverted by its pseudo-inverse. With shrinkage they do, and much.

    Args:
        shrinkage: s, in [0, 1]: the covariance Σ becomes (1 − s) Σ + s · tr(Σ) / D · I.

    Raises:
        ValueError: If the shrinkage is outside [0, 1]; at `fit`, if a class has no sample, or the features of
            every class are all the same.
    """

    fits = True
    uses_features = True

    def __init__(self, shrinkage: float = 0.0) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        if not 0 <= shrinkage <= 1:
            self.refuse("shrinkage", "is outside [0, 1]")

    def learn(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns `whitening` `[D, R]`, which makes the covariance the identity, and the `means` `[K, R]`, whitened."""
        features, classes = known.features, known.logits.shape[1]
        sums = features.new_zeros(classes, features.shape[1]).index_add_(0, target, features)
        counts = target.bincount(minlength=classes)
        if not counts.all():
            raise ValueError(
                f"Mahalanobis: target {int(counts.argmin())} (of {classes}, from 0) has no training sample"
            )
        means = sums / counts[:, None]
        variances, axes, rank = principal_axes(features - means[target])
        if not rank:
            raise ValueError("Mahalanobis: the training features of every class are all the same; take another score")
        if self.shrinkage:
            variances, rank = (1 - self.shrinkage) * variances + self.shrinkage * variances.mean(), len(variances)
        whitening = axes[:, :rank] / variances[:rank].sqrt()
        return {"whitening": whitening, "means": means @ whitening}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]` from 0 up."""
        whitened = precise(evidence.features) @ self.learnt("whitening")
        # The way through matrix products loses all digits of a distance that is small beside the means.
        distances = torch.cdist(whitened, self.learnt("means"), compute_mode="donot_use_mm_for_euclid_dist")
        return distances.amin(dim=1).square()
