"""Lightning callbacks for conformal prediction: sets of classes, and intervals of numbers."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from litzoo.callbacks.calibration._callback import ConformalCallback
from litzoo.callbacks.calibration.difficulty import ResidualDifficulty, require_difficulty_samples
from litzoo.callbacks.calibration.intervals import ConformalIntervals
from litzoo.callbacks.calibration.part import calibration_part
from litzoo.callbacks.calibration.sets import ConformalSets, Method
from litzoo.callbacks.contracts import require_class_names
from litzoo.callbacks.evaluation import predict_part
from litzoo.callbacks.plain_modules import parts_of


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

    def require_enough(self, target: Tensor, parts: Any) -> None:
        """Checks the number of calibration samples, of each class with `per_class`.

        Raises:
            ValueError: If they are too few.
        """
        self.sets.require_enough(target[target >= 0], len(self.sets.class_names))


class PredictionIntervals(ConformalCallback):
    """Predicts intervals that contain the true number with a given probability, by split conformal prediction.

    All intervals have the same width, or with `normalized` a width for each sample; see `ConformalIntervals`. The
    guarantee holds on average, for samples that are drawn like the calibration samples.

    Logs in a test `test/interval_coverage`, `test/interval_coverage_asked` and `test/interval_width`, the mean, in the
    target's units. Adds `lower` and `upper` to predictions.

    Args:
        coverage: Probability that an interval contains the true number, in (0, 1).
        calibration_fraction: Fraction of the validation samples that only calibrate, in [0, 1); by default a half from
            1,000 on, else 0.
        normalized: Whether the intervals are wider where the model is expected to be less exact, which a
            `ResidualDifficulty` computes from its features. It is fitted on the validation samples that do not
            calibrate; if all do, on a random half, and the others calibrate. A module of your own then returns
            `features` `[B, D]` from `test_step` and `predict_step`.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, coverage: float = 0.9, calibration_fraction: float | None = None, normalized: bool = False
    ) -> None:
        self.normalized = normalized
        self.intervals = ConformalIntervals(coverage, ResidualDifficulty() if normalized else None)
        super().__init__(self.intervals, calibration_fraction)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks module, data and callbacks, and makes the module return features if they are read.

        Raises:
            TypeError: If module or datamodule are of another task, or the module has no features to read.
            ValueError: If there are no or too few validation samples, or `PredictionsCSV` comes before this callback.
        """
        super().setup(trainer, pl_module, stage)
        if self.normalized and stage in ("test", "predict") and hasattr(pl_module, "keeps_features"):
            pl_module.keeps_features = True  # type: ignore[assignment]

    def require_module(self, module: LightningModule) -> None:
        """Checks that the module is no classifier or detector, and has features if they are read.

        Raises:
            TypeError: If it has class names, or a network without features.
        """
        if hasattr(module, "class_names"):
            raise TypeError(
                f"PredictionIntervals is for predicted numbers, but a {type(module).__name__} predicts classes: use "
                "PredictionSets, or remove the callback"
            )
        net = getattr(module, "net", None)
        if self.normalized and hasattr(module, "keeps_features") and not hasattr(net, "features"):
            raise TypeError(
                f"PredictionIntervals.normalized: reads features, but {type(net).__name__} has no features(x) and "
                "head: add them, or leave normalized out"
            )

    def require_enough(self, target: Tensor, parts: Any) -> None:
        """Checks the number of calibration samples, and of those that the difficulty is fitted on.

        Raises:
            ValueError: If they are too few.
        """
        count = len(target)
        if self.normalized and calibration_part(parts)[0] == "val":
            require_difficulty_samples(count // 2, count)
            target = target[count // 2 :]
        elif self.normalized:
            require_difficulty_samples(len(parts.val_set))
        try:
            self.intervals.require_enough(target)
        except ValueError as error:
            more = f", or leave normalized out, to calibrate on all {count}" if len(target) < count else ""
            raise ValueError(f"{error}{more}") from None

    def calibration_outputs(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Tensor]:
        """Fits the difficulty, and returns the outputs for the samples that calibrate."""
        outputs = super().calibration_outputs(trainer, pl_module)
        if self.intervals.difficulty is None:
            return outputs
        if calibration_part(parts_of(trainer))[0] == "calibration":
            fitting = predict_part(trainer, pl_module, "val", *self.intervals.reads)
        else:
            count = len(outputs["target"])
            order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
            chosen, others = order[: count // 2], order[count // 2 :]
            fitting = {name: values[chosen.to(values.device)] for name, values in outputs.items()}
            outputs = {name: values[others.to(values.device)] for name, values in outputs.items()}
        residuals = fitting["target"].cpu().double() - fitting["prediction"].cpu().double()
        self.intervals.difficulty.fit(fitting["features"], residuals)
        return outputs
