"""Conformal sets of classes, on plain tensors."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.callbacks.calibration.checks import known_samples
from litzoo.callbacks.calibration.conformal import Conformal, conformal_quantile, require_enough

Method = Literal["lac", "aps"]


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
        self.classes: int | None = None

    def fit(self, output: Tensor, target: Tensor) -> "ConformalSets":
        """Stores the scores of calibration samples; returns itself.

        Args:
            output: Logits `[n, K]` of samples that the model was not trained on.
            target: Their classes, int64 `[n]`; negative ones are left out.

        Raises:
            ValueError: If shapes or classes do not fit, there are too few samples for the coverage, or a logit is not
                finite.
        """
        output, target = known_samples("PredictionSets", output, target)
        if broken := int((~output.isfinite()).any(dim=1).sum()):
            raise ValueError(f"PredictionSets: the logits of {broken:,} of {len(target):,} samples are not finite")
        self.require_enough(target, output.shape[1])
        self.scores = class_scores(output, self.method).gather(1, target[:, None]).squeeze(1)
        self.target, self.classes = target, output.shape[1]
        return self

    def require_enough(self, target: Tensor, classes: int) -> None:
        """Checks that the coverage can be promised with samples of these classes `[n]`.

        Raises:
            ValueError: If not; the message says what can be promised.
        """
        if not self.per_class:
            require_enough({"": len(target)}, self)
            return
        counts = target.bincount(minlength=classes).tolist()
        require_enough({self._name(label): count for label, count in enumerate(counts)}, self)

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
            ValueError: If it was fitted on another number of classes.
        """
        if self.scores is None or self.target is None:
            raise RuntimeError("PredictionSets: nothing was calibrated; call fit with validation samples")
        if self.classes is not None and self.classes != classes:
            raise ValueError(
                f"PredictionSets: logits of {classes} classes, but calibrated on {self.classes}; calibrate anew"
            )
        if not self.per_class:
            return conformal_quantile(self.scores, self.coverage).expand(classes)
        rows = [self.scores[self.target == label] for label in range(classes)]
        return torch.stack([conformal_quantile(each, self.coverage) for each in rows])

    def sets(self, logits: Tensor) -> Tensor:
        """Returns which classes are in the set of each sample, bool `[N, K]`: at least the most likely one.

        Raises:
            ValueError: If the logits are not `[N, K]` of the calibrated classes, or some are NaN or infinite.
        """
        if logits.ndim != 2:
            raise ValueError(f"PredictionSets: logits {list(logits.shape)}; give [N, K]")
        thresholds = self.thresholds(logits.shape[1])
        if broken := int((logits.isnan() | (logits == torch.inf)).any(dim=1).sum()):
            raise ValueError(
                f"PredictionSets: the logits of {broken:,} of {len(logits):,} samples are NaN or infinite, so that no "
                "class is the most likely; check the weights and inputs"
            )
        return sets_below(logits, thresholds, self.method)

    def predict(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `prediction_set`, bool `[N, K]`, for logits `[N, K]`."""
        return {"prediction_set": self.sets(output).to(output.device)}

    def evaluate(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Returns `set_coverage` and `set_size`, and with `per_class` `set_coverage/<class>`.

        Args:
            output: Logits `[N, K]`.
            target: Classes `[N]`; negative ones, which are in no set, are left out.

        Raises:
            ValueError: As `fit` and `sets`.
        """
        output, target = known_samples("PredictionSets", output, target)
        sets = self.sets(output)
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
        return {**state, "target": self.target, "classes": self.classes} if state else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores scores and targets; scores of another method are reset. `per_class` may differ."""
        super().load_state_dict({**state, "per_class": self.per_class})
        self.target = None if self.scores is None else state["target"]
        self.classes = None if self.scores is None else state.get("classes")  # absent in older checkpoints

    def _name(self, label: int) -> str:
        return self.class_names[label] if label < len(self.class_names) else str(label)


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
