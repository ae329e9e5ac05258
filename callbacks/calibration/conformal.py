"""Split conformal prediction on plain tensors: sets of classes, and intervals of numbers, with a guaranteed coverage.

Vovk, Gammerman and Shafer 2005; Papadopoulos et al. 2002. For introductions, Angelopoulos and Bates 2023.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, Literal

import torch
import torch.nn.functional as F
from scipy.stats import beta
from torch import Tensor

Method = Literal["lac", "aps"]


class Conformal(ABC):
    """Base class: nonconformity scores of calibration samples, from which sets or intervals are computed.

    Args:
        coverage: Probability that the set or interval contains the truth, in (0, 1).

    Raises:
        ValueError: If the coverage is outside (0, 1).

    Attributes:
        scores: Scores of the calibration samples, float64 `[n]`; None before `fit`.
    """

    def __init__(self, coverage: float = 0.9) -> None:
        if not 0 < coverage < 1:
            raise ValueError(f"{self.names[0]}.coverage: {coverage} is outside (0, 1); 0.9 is usual")
        self.coverage = coverage
        self.scores: Tensor | None = None

    names: tuple[str, str] = ("Conformal", "sets")
    """How messages call the callback and what it predicts."""

    @abstractmethod
    def fit(self, output: Tensor, target: Tensor) -> "Conformal":
        """Stores the scores of calibration samples; returns itself.

        Args:
            output: The model's output, `[n, ...]`.
            target: The truth, `[n]`.

        Raises:
            ValueError: If there are too few samples for the coverage, or an output is NaN.
        """

    @abstractmethod
    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Returns coverage and mean size on test samples, by name of the metric."""

    @abstractmethod
    def predict(self, output: Tensor) -> dict[str, Tensor]:
        """Returns what is predicted for samples, by name, each `[N, ...]`."""

    def groups(self) -> dict[str, int]:
        """Returns the number of calibration samples of each group that is calibrated on its own."""
        return {"": 0 if self.scores is None else len(self.scores)}

    def require_promise(self) -> None:
        """Checks that the coverage, which may have been changed, can be promised with the calibration samples.

        Raises:
            ValueError: If not; the message says what can be promised.
        """
        _require_enough(self.groups(), self)

    def promise(self) -> str:
        """Returns a sentence on how far the coverage of one calibration may be from what was asked."""
        group, count = min(self.groups().items(), key=lambda each: each[1])
        low, high = coverage_range(count, self.coverage)
        of = f" of {group}, the smallest class" if group else ""
        return (
            f"{self.names[1]} contain the truth with a probability of at least {self.coverage:.4g} on average over "
            f"calibrations; with {count:,} calibration samples{of}, {low:.3f} to {high:.3f} in 9 of 10"
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns scores and options as plain values; an empty dict before `fit`."""
        return {} if self.scores is None else {"kind": type(self).__name__, "scores": self.scores, **self.options()}

    def options(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"coverage": self.coverage}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the scores, or resets them if the state is empty or of other options.

        The coverage may differ: the state has the scores, not only a threshold.
        """
        same = all(state.get(name) == value for name, value in self.options().items() if name != "coverage")
        self.scores = state["scores"] if state.get("kind") == type(self).__name__ and same else None


class ConformalSets(Conformal):
    """Sets of classes that contain the true one with a given probability.

    Args:
        coverage: That probability, in (0, 1).
        method: `lac`, least ambiguous sets (Sadinle et al., JASA 2019): the classes whose probability is high enough,
            the smallest sets on average. `aps`, adaptive prediction sets (Romano et al., NeurIPS 2020), without
            randomisation: the most likely classes until their total probability is high enough, so that sets are larger
            where the model is not confident.
        per_class: Whether the coverage holds for each true class (Mondrian), which needs samples of every class.
        class_names: Names of the classes, for messages and metrics; their numbers by default.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> sets = ConformalSets(coverage=0.9).fit(val_logits, val_target)
        >>> sets.predict(logits)["prediction_set"]  # bool [N, K]
    """

    names = ("PredictionSets", "sets")

    def __init__(
        self,
        coverage: float = 0.9,
        method: Method = "lac",
        per_class: bool = False,
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__(coverage)
        if method not in ("lac", "aps"):
            raise ValueError(f"PredictionSets.method: {method!r} is not one of lac, aps")
        self.method, self.per_class, self.class_names = method, per_class, list(class_names)
        self.target: Tensor | None = None

    def fit(self, output: Tensor, target: Tensor) -> "ConformalSets":
        """Stores the scores of calibration samples; returns itself.

        Args:
            output: Logits `[n, K]` of samples that the model was not trained on.
            target: Their classes, int64 `[n]`; negative ones are left out.

        Raises:
            ValueError: If there are too few samples for the coverage, or a logit is not finite.
        """
        output, target = output.cpu(), target.cpu()
        output, target = output[target >= 0], target[target >= 0]
        if broken := int((~output.isfinite()).any(dim=1).sum()):
            raise ValueError(f"PredictionSets: the logits of {broken:,} of {len(target):,} samples are not finite")
        self.require_enough(target, output.shape[1])
        self.scores = class_scores(output, self.method).gather(1, target[:, None]).squeeze(1)
        self.target = target
        return self

    def require_enough(self, target: Tensor, classes: int) -> None:
        """Checks that the coverage can be promised with samples of these classes `[n]`.

        Raises:
            ValueError: If not; the message says what can be promised.
        """
        if not self.per_class:
            _require_enough({"": len(target)}, self)
            return
        counts = target.bincount(minlength=classes).tolist()
        _require_enough({self._name(label): count for label, count in enumerate(counts)}, self)

    def groups(self) -> dict[str, int]:
        """Returns the number of calibration samples, of each class with `per_class`."""
        if not self.per_class or self.target is None:
            return super().groups()
        counts = self.target.bincount(minlength=len(self.class_names)).tolist()
        return {self._name(label): count for label, count in enumerate(counts)}

    def thresholds(self, classes: int) -> Tensor:
        """Returns the largest score at which each of K classes is in a set, float64 `[K]`.

        Raises:
            RuntimeError: If nothing was fitted.
        """
        if self.scores is None or self.target is None:
            raise RuntimeError("PredictionSets: nothing was calibrated; call fit with validation samples")
        if not self.per_class:
            return conformal_quantile(self.scores, self.coverage).expand(classes)
        rows = [self.scores[self.target == label] for label in range(classes)]
        return torch.stack([conformal_quantile(each, self.coverage) for each in rows])

    def sets(self, logits: Tensor) -> Tensor:
        """Returns which classes are in the set of each sample, bool `[N, K]`: at least the most likely one."""
        return sets_below(logits, self.thresholds(logits.shape[1]), self.method)

    def predict(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `prediction_set`, bool `[N, K]`, for logits `[N, K]`."""
        return {"prediction_set": self.sets(output).to(output.device)}

    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Returns `set_coverage` and `set_size`, and with `per_class` `set_coverage/<class>`.

        Args:
            output: Logits `[N, K]`.
            target: Classes `[N]`; negative ones, which are in no set, are left out.
        """
        target = target.cpu()
        sets, target = self.sets(output)[target >= 0], target[target >= 0]
        covered = sets.gather(1, target[:, None]).squeeze(1).double()
        values = {"set_coverage": float(covered.mean()), "set_size": float(sets.sum(dim=1).double().mean())}
        for label in target.unique().tolist() if self.per_class else ():
            # A slash in a name would open a sub-group in TensorBoard.
            values[f"set_coverage/{self._name(label).replace('/', '-')}"] = float(covered[target == label].mean())
        return values

    def options(self) -> dict[str, Any]:
        """Returns coverage, method and whether it is per class."""
        return {"coverage": self.coverage, "method": self.method, "per_class": self.per_class}

    def state_dict(self) -> dict[str, Any]:
        """Returns scores, targets and options as plain values; an empty dict before `fit`."""
        state = super().state_dict()
        return {**state, "target": self.target} if state else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores scores and targets; scores of another method are reset. `per_class` may differ."""
        super().load_state_dict({**state, "per_class": self.per_class})
        self.target = None if self.scores is None else state["target"]

    def _name(self, label: int) -> str:
        return self.class_names[label] if label < len(self.class_names) else str(label)


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
            ValueError: If there are too few samples for the coverage, or a residual is not finite.
        """
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
        _require_enough({"": len(target)}, self)

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
        return {"lower": output - self.margin, "upper": output + self.margin}

    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Returns `interval_coverage`, and `interval_width` in the target's units."""
        residuals, margin = (output.cpu().double() - target.cpu().double()).abs(), self.margin
        return {"interval_coverage": float((residuals <= margin).double().mean()), "interval_width": 2 * margin}


def sets_below(logits: Tensor, thresholds: Tensor, method: Method) -> Tensor:
    """Returns the classes whose scores are at most their thresholds `[K]`, and the most likely one, bool `[N, K]`."""
    most_likely = F.one_hot(logits.cpu().argmax(dim=1), logits.shape[1]).bool()
    return (class_scores(logits, method) <= thresholds) | most_likely


def class_scores(logits: Tensor, method: Method) -> Tensor:
    """Returns the nonconformity score of each class, float64 `[N, K]`, on the CPU.

    Args:
        logits: `[N, K]`.
        method: `lac`: one minus the probability. `aps`: the total probability of all more likely classes.
    """
    probabilities = logits.detach().cpu().double().softmax(dim=1)
    if method == "lac":
        return 1 - probabilities
    ordered, order = probabilities.sort(dim=1, descending=True)  # ONNX has no stable sort
    return torch.zeros_like(ordered).scatter(1, order, ordered.cumsum(dim=1) - ordered)


def conformal_quantile(scores: Tensor, coverage: float) -> Tensor:
    """Returns the ⌈(n + 1) · coverage⌉-th smallest of n scores `[n]`; infinity if n is too small.

    The score of a new sample, exchangeable with these, is at or below it with a probability of at least `coverage` and,
    if there are no ties, less than `coverage` + 1 / (n + 1).
    """
    rank = exact_ceil(coverage, len(scores) + 1)
    return scores.sort().values[rank - 1] if rank <= len(scores) else scores.new_tensor(torch.inf)


def coverage_range(count: int, coverage: float, probability: float = 0.9) -> tuple[float, float]:
    """Returns the range in which the coverage lies that one calibration reaches on new samples.

    It is distributed as Beta(k, n + 1 − k), k being ⌈(n + 1) · coverage⌉ (Vovk 2012), if there are no ties.

    Args:
        count: Number n of calibration samples, enough for the coverage.
        coverage: What was asked.
        probability: Of the range, with equal tails.
    """
    rank = exact_ceil(coverage, count + 1)
    low, high = beta.interval(probability, rank, count + 1 - rank)
    return float(low), float(high)


def exact_ceil(fraction: float, count: int) -> int:
    """Returns ⌈fraction · count⌉ for the decimal notation of a fraction: in floating point, 0.07 · 100 exceeds 7."""
    return ceil(Fraction(str(fraction)) * count)


def _require_enough(counts: Mapping[str, int], rule: Conformal) -> None:
    """Raises a ValueError if a group has too few samples for the coverage; it says what can be promised."""
    name, coverage = rule.names[0], rule.coverage
    short = {group: count for group, count in counts.items() if exact_ceil(coverage, count + 1) > count}
    if not short:
        return
    fraction = Fraction(str(coverage))
    needed = ceil(fraction / (1 - fraction))
    found = [
        f"{count} calibration samples{f' of class {group}' if group else ''} promise at most {count / (count + 1):.3f}"
        for group, count in list(short.items())[:3]
    ]
    more = f", and {len(short) - 3} more classes are too small" if len(short) > 3 else ""
    instead = ", or leave per_class out" if next(iter(short)) else ""
    raise ValueError(
        f"{name}.coverage: {coverage:.4g} needs {needed} calibration samples{' of each class' if instead else ''}, but "
        f"{'; '.join(found)}{more}: raise data.val_size, lower the coverage{instead}"
    )
