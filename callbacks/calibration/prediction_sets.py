"""Lightning callbacks for conformal prediction: sets of classes, and intervals of numbers."""

from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from litzoo.callbacks.calibration._callback import ConformalCallback
from litzoo.callbacks.calibration.intervals import ConformalIntervals
from litzoo.callbacks.calibration.sets import ConformalSets, Method
from litzoo.callbacks.contracts import require_class_names


class PredictionSets(ConformalCallback):
    """Predicts sets of classes that contain the true class with a given probability, by split conformal prediction.

    The guarantee holds on average, for samples of known classes that are drawn like the calibration samples. See
    `ConformalSets` for the methods. A set has at least the most likely class.

    Logs in a test `test/set_coverage`, `test/set_coverage_asked`, `test/set_size` (mean number of classes) and, with
    `per_class`, `test/set_coverage/<class>`. Adds `prediction_set` to predictions; in `predictions.csv` the names are
    joined by `|`.

    Args:
        coverage: Probability that a set contains the true class, in (0, 1).
        method: `lac` for the smallest sets, `aps` for sets that are larger where the model is not confident.
        per_class: Whether the coverage holds for every true class, not only on average over the classes.
        calibration_fraction: Fraction of the validation samples that only calibrate, in [0, 1); by default a half from
            1,000 on, else 0: all validation samples calibrate, and choose the epoch too. An `UnknownClassDetector`
            beside it decides for both.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        coverage: float = 0.9,
        method: Method = "lac",
        per_class: bool = False,
        calibration_fraction: float | None = None,
    ) -> None:
        self.sets = ConformalSets(coverage, method, per_class)
        super().__init__(self.sets, calibration_fraction)

    def require_module(self, module: LightningModule) -> None:
        """Checks that the module has class names.

        Raises:
            TypeError: If it has not.
        """
        require_class_names(self, "predicts sets of classes", module)
        names: Any = module.class_names
        self.sets.class_names = list(names)

    def require_enough(self, target: Tensor, module: LightningModule) -> None:
        """Checks the number of calibration samples, of each class with `per_class`.

        Raises:
            ValueError: If they are too few.
        """
        self.sets.require_enough(target[target >= 0], len(self.sets.class_names))


class PredictionIntervals(ConformalCallback):
    """Predicts intervals that contain the true number with a given probability, by split conformal prediction.

    All intervals have the same width; see `ConformalIntervals`. The guarantee holds on average, for samples that are
    drawn like the calibration samples.

    Logs in a test `test/interval_coverage`, `test/interval_coverage_asked` and `test/interval_width`, in the target's
    units. Adds `lower` and `upper` to predictions.

    Args:
        coverage: Probability that an interval contains the true number, in (0, 1).
        calibration_fraction: Fraction of the validation samples that only calibrate, in [0, 1); by default a half from
            1,000 on, else 0.

    Raises:
        ValueError: If an argument is out of range.
    """

    output = "prediction"

    def __init__(self, coverage: float = 0.9, calibration_fraction: float | None = None) -> None:
        self.intervals = ConformalIntervals(coverage)
        super().__init__(self.intervals, calibration_fraction)

    def require_module(self, module: LightningModule) -> None:
        """Checks that the module is no classifier or detector.

        Raises:
            TypeError: If it has class names.
        """
        if hasattr(module, "class_names"):
            raise TypeError(
                f"PredictionIntervals is for predicted numbers, but a {type(module).__name__} predicts classes: use "
                "PredictionSets, or remove the callback"
            )

    def require_enough(self, target: Tensor, module: LightningModule) -> None:
        """Checks the number of calibration samples.

        Raises:
            ValueError: If they are too few.
        """
        self.intervals.require_enough(target)
