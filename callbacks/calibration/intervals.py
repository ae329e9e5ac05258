"""Conformal intervals of numbers, on plain tensors."""

from torch import Tensor

from litzoo.callbacks.calibration.checks import require_numbers
from litzoo.callbacks.calibration.conformal import Conformal, conformal_quantile, require_enough


class ConformalIntervals(Conformal):
    """Intervals around predicted numbers that contain the true one with a given probability.

    All have the same width: twice a quantile of the absolute residuals of the calibration samples.

    Args:
        coverage: That probability, in (0, 1).
    """

    names = ("PredictionIntervals", "intervals")

    def fit(self, output: Tensor, target: Tensor) -> "ConformalIntervals":
        """Stores the absolute residuals of predictions `[n]` of samples the model was not trained on; returns itself.

        Raises:
            ValueError: If the shapes differ, there are too few samples for the coverage, or a residual is not finite.
        """
        require_numbers("PredictionIntervals", output, target)
        residuals = (output.cpu().double() - target.cpu().double()).abs()
        if broken := int((~residuals.isfinite()).sum()):
            raise ValueError(f"PredictionIntervals: {broken:,} of {len(residuals):,} residuals are not finite")
        self.require_enough(target)
        self.scores = residuals
        return self

    def require_enough(self, target: Tensor) -> None:
        """Checks that the coverage can be promised with so many samples `[n]`.

        Raises:
            ValueError: If not; the message says what can be promised.
        """
        require_enough({"": len(target)}, self)

    @property
    def margin(self) -> float:
        """Half the width, in the target's units.

        Raises:
            RuntimeError: If nothing was fitted.
        """
        if self.scores is None:
            raise RuntimeError("PredictionIntervals: nothing was calibrated; call fit with validation samples")
        return float(conformal_quantile(self.scores, self.coverage))

    def predict(self, output: Tensor) -> dict[str, Tensor]:
        """Returns the bounds `lower` and `upper`, `[N]`, for predictions `[N]`."""
        require_numbers("PredictionIntervals", output)
        margin = self.margin  # sorts the scores
        return {"lower": output - margin, "upper": output + margin}

    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Returns `interval_coverage`, and `interval_width` in the target's units, for predictions and targets `[N]`.

        Raises:
            ValueError: If the shapes differ.
        """
        require_numbers("PredictionIntervals", output, target)
        residuals, margin = (output.cpu().double() - target.cpu().double()).abs(), self.margin
        return {"interval_coverage": float((residuals <= margin).double().mean()), "interval_width": 2 * margin}
