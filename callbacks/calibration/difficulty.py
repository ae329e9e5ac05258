"""How far off a regressor is expected to be on each sample, on plain tensors."""

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.linear_model import GammaRegressor
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

FEWEST = 10
"""Samples that a difficulty is fitted on, at least."""
_NAMES = ("mean", "weight", "bias", "low", "high")
_PENALTIES = [10.0**power for power in range(-3, 4)]
_FOLDS = 5


class ResidualDifficulty:
    """Expected absolute residual of a sample, the exponential of a linear function of its features.

    It is a gamma regression with an L2 penalty (scikit-learn's `GammaRegressor`). Five-fold cross-validation chooses
    the penalty: where the features say nothing about the residuals, all samples are about equally difficult. The
    difficulty of new samples is limited to the range of those fitted.

    Attributes:
        statistics: What was fitted, float32: `mean` and `weight` `[D]`, `bias`, `low` and `high`; empty before.
    """

    def __init__(self) -> None:
        self.statistics: dict[str, Tensor] = {}

    def fit(self, features: Tensor, residuals: Tensor) -> "ResidualDifficulty":
        """Fits the difficulty; returns itself.

        Args:
            features: `[n, D]` of samples that neither trained the model nor will calibrate the intervals.
            residuals: True minus predicted numbers of these samples, `[n]`; their signs do not matter.

        Raises:
            ValueError: If the shapes do not fit, there are too few samples, a value is not finite, or all residuals are
                0.
        """
        count = len(residuals)
        if residuals.ndim != 1 or features.shape[:1] != residuals.shape:
            raise ValueError(
                f"ResidualDifficulty: features {list(features.shape)} and residuals {list(residuals.shape)}; give "
                "[N, D] and [N]"
            )
        require_difficulty_samples(count)
        inputs, errors = (each.detach().cpu().double().reshape(count, -1).numpy() for each in (features, residuals))
        if broken := int((~np.isfinite(np.hstack([inputs, errors])).all(axis=1)).sum()):
            raise ValueError(
                f"ResidualDifficulty: features or residuals of {broken:,} of {count:,} samples are not finite"
            )
        sizes = np.abs(errors[:, 0])
        mean = sizes.mean()
        if not mean:
            raise ValueError(
                f"ResidualDifficulty: all {count:,} residuals are 0, so that no sample is more difficult than another; "
                "leave normalized out"
            )
        search = GridSearchCV(
            make_pipeline(StandardScaler(), GammaRegressor(max_iter=1000)),
            {"gammaregressor__alpha": _PENALTIES},
            scoring="neg_mean_gamma_deviance",
            cv=KFold(_FOLDS, shuffle=True, random_state=0),
        )
        search.fit(inputs, np.maximum(sizes / mean, 1e-6))  # a gamma distribution has no 0
        scaler, regression = (step for _, step in search.best_estimator_.steps)
        fitted = np.log(search.predict(inputs))
        bounds = np.log(mean) + np.array([regression.intercept_, fitted.min(), fitted.max()])
        values = (scaler.mean_, regression.coef_ / scaler.scale_, *bounds)
        self.statistics = {
            name: torch.as_tensor(value, dtype=torch.float32) for name, value in zip(_NAMES, values, strict=True)
        }
        return self

    def __call__(self, features: Tensor) -> Tensor:
        """Returns the difficulty of samples, float32 `[N]`, in the target's units, for features `[N, D]`.

        Raises:
            RuntimeError: If nothing was fitted.
            ValueError: If the features are others in number.
        """
        if not self.statistics:
            raise RuntimeError("ResidualDifficulty: nothing was fitted; call fit with samples that were not trained on")
        mean, weight, bias, low, high = (self.statistics[name].to(features.device) for name in _NAMES)
        inputs = features.float().reshape(features.shape[0], -1)
        if inputs.shape[1] != len(weight):
            raise ValueError(f"ResidualDifficulty: {inputs.shape[1]} features, but fitted on {len(weight)}; fit anew")
        # No matrix product: under mixed precision it would be one in half precision.
        return (((inputs - mean) * weight).sum(dim=1) + bias).clamp(low, high).exp()

    def state_dict(self) -> dict[str, Tensor]:
        """Returns what was fitted."""
        return self.statistics

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores what was fitted; resets it if the state is empty."""
        self.statistics = dict(state)


def require_difficulty_samples(count: int, of: int | None = None) -> None:
    """Checks the number of samples that a difficulty is to be fitted on.

    Args:
        count: That number.
        of: Number of validation samples of which these are a half, for the message.

    Raises:
        ValueError: If they are too few.
    """
    if count < FEWEST:
        half = "" if of is None else f", a half of {of}, since the others calibrate"
        raise ValueError(
            f"PredictionIntervals.normalized: the difficulty is fitted on {count} samples{half}, but needs {FEWEST}: "
            "raise data.val_size, or leave normalized out"
        )
