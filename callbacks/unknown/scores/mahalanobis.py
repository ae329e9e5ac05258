from typing import Literal

from torch import Tensor, nn

from litzoo.callbacks.unknown.scores.base import Evidence, UnknownScore, distances, to_float64
from litzoo.callbacks.unknown.scores.float64_rows import Float64Rows, principal_axes


class Mahalanobis(UnknownScore):
    """Squared Mahalanobis distance of the features to the nearest class mean (Lee et al., NeurIPS 2018).

    All classes share the covariance of the training features about their class means. Without shrinkage it is inverted
    by the pseudo-inverse, so that directions in which the training features do not vary are ignored, and those in
    which they hardly vary weigh most; with shrinkage a direction never weighs without limit.

    Args:
        shrinkage: s, in [0, 1]: the covariance Σ becomes (1 − s) Σ + s · tr(Σ) / D · I. By default estimated from the
            features (Ledoit & Wolf 2004); 0 is the score of the paper.

    Raises:
        ValueError: If the shrinkage is outside [0, 1]; at `fit`, if a class has no sample, or the features of every
            class are constant.
    """

    fits = True
    uses_features = True

    def __init__(self, shrinkage: float | Literal["auto"] = "auto") -> None:
        super().__init__()
        self.shrinkage = shrinkage
        if shrinkage != "auto" and (isinstance(shrinkage, str) or not 0 <= shrinkage <= 1):
            raise self._invalid("shrinkage", "is neither in [0, 1] nor auto")

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns the `whitening` matrix `[D, R]` and the whitened class `means` `[K, R]`."""
        means = self._class_means(known, target)
        whitening = self._whitening(
            Float64Rows(known.features, means, target), "the training features of every class are constant"
        )
        return {"whitening": whitening, "means": means @ whitening}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`, at least 0."""
        whitened = to_float64(evidence.features) @ self.statistic("whitening")
        return _squared_distance(whitened, self.statistic("means"))

    def _class_means(self, known: Evidence, target: Tensor) -> Tensor:
        classes = known.logits.shape[1]
        counts = target.bincount(minlength=classes)
        if not counts.all():
            raise ValueError(
                f"{type(self).__name__}: class {int(counts.argmin())} (of {classes}, from 0) has no training sample"
            )
        return Float64Rows(known.features).class_means(target, classes)

    def _whitening(self, centered: Float64Rows, problem: str) -> Tensor:
        """Returns the matrix `[D, R]` that turns the covariance of centered features into the identity."""
        covariance = centered.scatter()
        variances, axes, rank = principal_axes(covariance)
        if not rank:
            raise ValueError(f"{type(self).__name__}: {problem}; choose another score")
        shrinkage = self.shrinkage
        if shrinkage == "auto":
            shrinkage = centered.ledoit_wolf(covariance)
        if shrinkage:
            variances, rank = (1 - shrinkage) * variances + shrinkage * variances.mean(), len(variances)
        return axes[:, :rank] / variances[:rank].sqrt()


class RelativeMahalanobis(Mahalanobis):
    """Mahalanobis distance to the nearest class, minus that to all training samples (Ren et al. 2021).

    The second distance is that under one Gaussian for the features of all classes. What is far from everything in
    directions that do not tell the classes apart cancels out, which helps with unknown classes that resemble known
    ones. The score may be negative.

    Args:
        shrinkage: As for `Mahalanobis`, of both covariances.

    Raises:
        ValueError: As `Mahalanobis`.
    """

    def compute_statistics(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> dict[str, Tensor]:
        """Returns the statistics of `Mahalanobis`, and `overall_whitening` `[D, R]` and `overall_mean` `[1, R]`."""
        mean = Float64Rows(known.features).mean()[None]
        whitening = self._whitening(Float64Rows(known.features, mean), "the training features are constant")
        statistics = super().compute_statistics(known, target, head)
        return {**statistics, "overall_whitening": whitening, "overall_mean": mean @ whitening}

    def __call__(self, evidence: Evidence) -> Tensor:
        """Returns scores `[N]`."""
        whitened = to_float64(evidence.features) @ self.statistic("overall_whitening")
        return super().__call__(evidence) - _squared_distance(whitened, self.statistic("overall_mean"))


def _squared_distance(whitened: Tensor, means: Tensor) -> Tensor:
    """Returns the squared distance `[N]` of whitened features `[N, R]` to the nearest of the means `[K, R]`."""
    return distances(whitened, means).amin(dim=1).square()
