"""What MAPIE computes. It runs in a process of its own: its annotations change the order in which jsonargparse tries
the members of `int | float`, and counts on the command line would become floats.

Usage: python -m tests.callbacks.calibration.mapie_reference FILE
"""

import sys

import numpy as np
import torch
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import ResidualNormalisedScore
from mapie.regression import SplitConformalRegressor
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from tests.callbacks.calibration.samples import COVERAGES, regression_samples, sampled


class Softmax(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose inputs are the logits."""

    def __init__(self, classes=4):
        self.classes = classes
        self.classes_ = np.arange(classes)

    def fit(self, X, y):  # noqa: N803
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):  # noqa: N803
        return torch.as_tensor(X).softmax(dim=1).numpy()

    def predict(self, X):  # noqa: N803
        return np.argmax(X, axis=1)


class AllOnes(np.random.RandomState):
    """Takes the chance out of MAPIE's scores, which subtract a random part of the class's own probability: all."""

    def uniform(self, size):
        return np.ones(size)


class First(RegressorMixin, BaseEstimator):
    """A fitted regressor that predicts its first column."""

    def fit(self, X, y):  # noqa: N803
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):  # noqa: N803
        return X[:, 0]


class Steep(First):
    """A fitted difficulty."""

    def predict(self, X):  # noqa: N803
        return np.exp(0.5 * X[:, 0] - 1)


def reference() -> dict[str, torch.Tensor]:
    """Returns the sets, bool `[N, K]`, of each method and coverage, and intervals `[N, 2]`."""
    found = {}
    (calibration, known), (logits, _) = sampled(500), sampled(800, seed=1)
    for coverage in COVERAGES:
        lac = SplitConformalClassifier(Softmax(), confidence_level=coverage, conformity_score="lac", prefit=True)
        lac.conformalize(calibration.numpy(), known.numpy())
        found[f"lac {coverage}"] = lac.predict_set(logits.numpy())[1][:, :, 0]
        options = {"conformity_score": "aps", "prefit": True, "random_state": AllOnes()}
        aps = SplitConformalClassifier(Softmax(), confidence_level=coverage, **options)
        aps.conformalize(calibration.numpy(), known.numpy())
        last = {"include_last_label": True}
        found[f"aps {coverage}"] = aps.predict_set(logits.numpy(), conformity_score_params=last)[1][:, :, 0]
    inputs, targets, new = regression_samples()
    intervals = SplitConformalRegressor(First(), confidence_level=0.9, prefit=True)
    intervals.conformalize(inputs, targets)
    found["intervals"] = intervals.predict_interval(new)[1][:, :, 0]
    normalised = ResidualNormalisedScore(Steep(), prefit=True)
    intervals = SplitConformalRegressor(First(), confidence_level=0.9, conformity_score=normalised, prefit=True)
    intervals.conformalize(inputs, targets)
    found["normalized intervals"] = intervals.predict_interval(new)[1][:, :, 0]
    return {name: torch.from_numpy(values) for name, values in found.items()}


if __name__ == "__main__":
    torch.save(reference(), sys.argv[1])
