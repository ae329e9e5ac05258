from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, distances, principal_axes, to_float64


class Mahalanobis(UnknownScore):
    """Squared Mahalanobis distance of the features to the nearest class mean (Lee et al., NeurIPS 2018).

    All classes share the covariance of the training features about their class means. Without shrinkage it is inverted
    by the pseudo-inverse, so that directions in which the training features do not vary are ignored; with shrinkage
    these directions weigh heavily.

    Args:
        shrinkage: s, in [0, 1]: the covariance Σ becomes (1 − s) Σ + s · tr(Σ) / D · I.

    Raises:
        ValueError: If the shrinkage is outside [0, 1]; at `fit`, if a class has no sample, or the features of every
            class are constant.
    """

    fits = True
    uses_features = True

    def __init__(self, shrinkage: float = 0.0) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        if not 0 <= shrinkage <= 1:
            raise self._invalid("shrinkage", "is outside [0, 1]")

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns the `whitening` matrix `[D, R]` and the whitened class `means` `[K, R]`."""
        features, classes = known.features, known.logits.shape[1]
        sums = features.new_zeros(classes, features.shape[1]).index_add_(0, target, features)
        counts = target.bincount(minlength=classes)
        if not counts.all():
            raise ValueError(f"Mahalanobis: class {int(counts.argmin())} (of {classes}, from 0) has no training sample")
        means = sums / counts[:, None]
        variances, axes, rank = principal_axes(features - means[target])
        if not rank:
            raise ValueError("Mahalanobis: the training features of every class are constant; choose another score")
        if self.shrinkage:
            variances, rank = (1 - self.shrinkage) * variances + self.shrinkage * variances.mean(), len(variances)
        whitening = axes[:, :rank] / variances[:rank].sqrt()
        return {"whitening": whitening, "means": means @ whitening}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`, at least 0."""
        whitened = to_float64(evidence.features) @ self.statistic("whitening")
        return distances(whitened, self.statistic("means")).amin(dim=1).square()
