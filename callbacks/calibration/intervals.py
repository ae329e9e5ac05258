"""Conformal intervals of numbers, on plain tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from litzoo.callbacks.calibration.checks import require_numbers
from litzoo.callbacks.calibration.conformal import Conformal, conformal_quantile, require_enough
from litzoo.callbacks.calibration.difficulty import ResidualDifficulty


class ConformalIntervals(Conformal):
    """Intervals around predicted numbers that contain the true one with a given probability.

    All have the same width, twice a quantile of the absolute residuals of the calibration samples. With a difficulty
    the residuals are divided by it, and the width is a multiple of that of each sample (Papadopoulos et al. 2002; Lei
    et al. 2018, section 5.2).

    Args:
        coverage: That probability, in (0, 1).
        difficulty: How far off the model is expected to be on each sample. It must not have seen the calibration
            samples; `fit`, `predict` and `evaluate` then need features.
    """

    names = ("PredictionIntervals", "intervals")

    def __init__(self, coverage: float = 0.9, difficulty: ResidualDifficulty | None = None) -> None:
        super().__init__(coverage)
        self.difficulty = difficulty
        self.reads = ("prediction",) if difficulty is None else ("prediction", "features")

    def fit(self, output: Tensor, target: Tensor, features: Tensor | None = None) -> "ConformalIntervals":
        """Stores the scores of predictions `[n]` of samples the model was not trained on; returns itself.

        Raises:
            ValueError: If the shapes differ, there are too few samples for the coverage, a residual is not finite, or a
                difficulty is not above 0.
        """
        require_numbers("PredictionIntervals", output, target)
        residuals = (output.cpu().double() - target.cpu().double()).abs()
        if broken := int((~residuals.isfinite()).sum()):
            raise ValueError(f"PredictionIntervals: {broken:,} of {len(residuals):,} residuals are not finite")
        self.require_enough(target)
        self.scores = residuals / self._unit(output, features).cpu()
        return self

    def require_enough(self, target: Tensor) -> None:
        """Checks that the coverage can be promised with so many samples `[n]`.

        Raises:
            ValueError: If not; the message says what can be promised.
        """
        require_enough({"": len(target)}, self)

    @property
    def margin(self) -> float:
        """Half the width in the target's units; with a difficulty, in multiples of it.

        Raises:
            RuntimeError: If nothing was fitted.
        """
        if self.scores is None:
            raise RuntimeError("PredictionIntervals: nothing was calibrated; call fit with validation samples")
        return float(conformal_quantile(self.scores, self.coverage))

    def predict(self, output: Tensor, features: Tensor | None = None) -> dict[str, Tensor]:
        """Returns the bounds `lower` and `upper`, `[N]`, for predictions `[N]`."""
        require_numbers("PredictionIntervals", output)
        margin = self.margin * self._unit(output, features)  # sorts the scores
        return {"lower": output - margin, "upper": output + margin}

    def evaluate(self, output: Tensor, target: Tensor, features: Tensor | None = None) -> dict[str, float]:
        """Returns `interval_coverage`, and `interval_width` in the target's units, for predictions and targets `[N]`.

        The width is the mean over the samples.

        Raises:
            ValueError: If the shapes differ.
        """
        require_numbers("PredictionIntervals", output, target)
        residuals = (output.cpu().double() - target.cpu().double()).abs()
        unit = self._unit(output, features).cpu().double()
        covered = (residuals / unit <= self.margin).double()  # compared as calibrated, also where they are equal
        return {"interval_coverage": float(covered.mean()), "interval_width": float(2 * (self.margin * unit).mean())}

    def options(self) -> dict[str, Any]:
        """Returns the coverage and whether there is a difficulty."""
        return {"coverage": self.coverage, "normalized": self.difficulty is not None}

    def state_dict(self) -> dict[str, Any]:
        """Returns scores, options and the fitted difficulty as plain values; an empty dict before `fit`."""
        state = super().state_dict()
        return {**state, "difficulty": self.difficulty.state_dict()} if state and self.difficulty is not None else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores scores and difficulty, or resets them if the state is empty or only one of the two has one."""
        super().load_state_dict({"normalized": False, **state})  # absent in older checkpoints
        if self.difficulty is not None:
            self.difficulty.load_state_dict({} if self.scores is None else state["difficulty"])

    def _unit(self, output: Tensor, features: Tensor | None) -> Tensor:
        """Returns by what residuals are divided, `[N]`, or a scalar 1."""
        if self.difficulty is None:
            return torch.ones((), device=output.device)
        if features is None or features.shape[:1] != output.shape:
            found = "none" if features is None else list(features.shape)
            raise ValueError(
                f"PredictionIntervals: normalized intervals need features; give [N, D] for predictions "
                f"{list(output.shape)}, not {found}"
            )
        unit = self.difficulty(features)
        if broken := int((~(unit.isfinite() & (unit > 0))).sum()):
            raise ValueError(
                f"PredictionIntervals: the difficulty of {broken:,} of {len(unit):,} samples is 0, negative or not "
                "finite; check weights and inputs"
            )
        return unit
