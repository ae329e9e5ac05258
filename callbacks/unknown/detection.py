"""Unknown-class detection on plain tensors, without a trainer.

`UnknownDetection` holds scores and threshold; the callback `UnknownClassDetector` in `detector.py` runs it during fit,
test and predict.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from litzoo.callbacks.unknown import scores
from litzoo.callbacks.unknown.calibration import acceptance_threshold
from litzoo.callbacks.unknown.scores import Evidence, UnknownScore
from litzoo.datamodules.batch import UNKNOWN


class UnknownDetection:
    """Unknown-class scores, fitted on known training samples, and a threshold, calibrated on known validation samples.

    Args:
        score: The decision score: a sample with a score above the threshold is unknown.
        acceptance: Fraction of the known samples that the threshold accepts, in (0, 1).
        threshold: A fixed threshold instead of a calibrated one.
        report: Further scores to compare; they do not affect the decision.

    Raises:
        ValueError: If the acceptance is outside (0, 1), the threshold is not finite, or two scores are of the same
            class.

    Attributes:
        scores: All scores by class name, the decision score first.
        known_scores: Decision scores of the validation samples, in ascending order; `None` before `calibrate`.

    Example:
        >>> detection = UnknownDetection(NearestNeighbors(), acceptance=0.95)
        >>> detection.fit(Evidence(train_logits, train_features), train_target)
        >>> detection.calibrate(Evidence(val_logits, val_features))
        >>> scores, prediction = detection.predict(Evidence(logits, features))  # -1 where unknown
    """

    def __init__(
        self,
        score: UnknownScore,
        acceptance: float = 0.95,
        threshold: float | None = None,
        report: Sequence[UnknownScore] = (),
    ) -> None:
        if not 0 < acceptance < 1:
            raise ValueError(f"UnknownClassDetector.acceptance: {acceptance} is outside (0, 1); 0.95 is usual")
        if threshold is not None and not isfinite(threshold):
            raise ValueError(f"UnknownClassDetector.threshold: {threshold} is not a finite number")
        self.score, self.acceptance, self.fixed_threshold = score, acceptance, threshold
        self.scores = {type(each).__name__: each for each in (score, *report)}
        if len(self.scores) <= len(report):
            raise ValueError("UnknownClassDetector.report: a score is listed twice; list each score class only once")
        self.known_scores: Tensor | None = None
        self._calibrated: tuple[Tensor, float, float] | None = None  # scores and acceptance of a threshold, and it

    @property
    def score_name(self) -> str:
        """Class name of the decision score."""
        return type(self.score).__name__

    @property
    def threshold(self) -> float:
        """The largest score at which a sample is accepted as known.

        Raises:
            ValueError: If there are too few validation samples for the acceptance.
        """
        if self.fixed_threshold is not None:
            return self.fixed_threshold
        assert self.known_scores is not None
        known = self._calibrated
        if known is None or known[0] is not self.known_scores or known[1] != self.acceptance:
            # Computed once: it checks and sorts all scores, and is asked for at every batch.
            threshold = acceptance_threshold(self.known_scores, self.acceptance)
            known = self._calibrated = self.known_scores, self.acceptance, threshold
        return known[2]

    @property
    def uses_features(self) -> bool:
        """Whether any score reads features."""
        return any(score.uses_features for score in self.scores.values())

    @property
    def fits(self) -> bool:
        """Whether any score has to be fitted on training samples."""
        return any(score.fits for score in self.scores.values())

    @property
    def unfitted_score(self) -> UnknownScore | None:
        """The first score that needs no fitting and only logits, which is logged during training; None without one."""
        plain = (each for each in self.scores.values() if not (each.fits or each.uses_features or each.extras))
        return next(plain, None)

    @property
    def usable(self) -> dict[str, UnknownScore]:
        """The scores that can be called: fitted, or in need of no fitting."""
        return {name: score for name, score in self.scores.items() if score.statistics or not score.fits}

    @property
    def has_fitted_state(self) -> bool:
        """Whether decisions or reported scores depend on fitted statistics or a calibrated threshold."""
        calibrated = self.fixed_threshold is None and self.known_scores is not None
        return calibrated or any(score.statistics for score in self.scores.values())

    def missing(self) -> list[str]:
        """Returns what still has to be fitted or calibrated before samples can be classified as unknown."""
        uncalibrated = self.fixed_threshold is None and self.known_scores is None
        threshold = ["the threshold"] if uncalibrated else []
        return [*threshold, *([] if self.score_name in self.usable else [f"the statistics of {self.score_name}"])]

    def fit(self, known: Evidence, target: Tensor, head: nn.Linear | None = None) -> "UnknownDetection":
        """Fits all scores on training samples and returns itself; see `UnknownScore.fit`.

        Reported scores that cannot be fitted are left out, with a warning.

        Raises:
            ValueError: If the decision score cannot be fitted.
        """
        for name, score in self.scores.items():
            score.load_state_dict({})
            try:
                score.fit(known, target, head)
                if caution := score.caution(target.cpu()):
                    rank_zero_warn(f"UnknownClassDetector: {caution}")
            except ValueError as error:
                if score is self.score:
                    raise
                rank_zero_warn(f"UnknownClassDetector.report: {name} is left out. {error}")
        return self

    def calibrate(self, known: Evidence) -> "UnknownDetection":
        """Stores the decision scores of validation samples, from which the threshold is computed; returns itself.

        Raises:
            ValueError: If there are too few for the acceptance.
        """
        self.known_scores = self.score(known).cpu().sort().values
        _ = self.threshold
        return self

    def predict(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """Returns the decision scores, float32 `[N]`, and classes `[N]`, `UNKNOWN` (-1) above the threshold.

        Raises:
            RuntimeError: If something has still to be fitted or calibrated; the message names all of it.
        """
        if missing := self.missing():
            raise RuntimeError(
                f"UnknownDetection: {' and '.join(missing)} still missing: call fit with training samples and "
                "calibrate with validation samples, or load the state of a fitted detection"
            )
        return self.decide(evidence, evidence.logits.argmax(dim=1))

    def decide(self, evidence: Evidence, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the decision scores, float32 `[N]`, and the predictions with `UNKNOWN` above the threshold `[N]`.

        Args:
            evidence: Logits and features.
            prediction: The most likely known classes, int64 `[N]`.
        """
        values = self.score(evidence)
        accepted = values <= self.threshold  # NaN is not accepted
        return values.float(), prediction.masked_fill(~accepted, UNKNOWN)

    def to(self, device: torch.device) -> None:
        """Moves the fitted statistics to a device."""
        for score in self.scores.values():
            score.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Returns calibration scores and statistics, with the scores they belong to; an empty dict before fitting.

        `rule` holds the arguments of the decision, from which `from_state` builds a detection without the config.
        """
        statistics = {score_signature(score): score.state_dict() for score in self.scores.values() if score.statistics}
        if self.known_scores is None and not statistics and self.missing():
            return {}
        rule = {
            "score": self.score_name,
            "options": score_options(self.score),
            "acceptance": self.acceptance,
            "threshold": self.fixed_threshold,
        }
        fitted = {"known_scores": self.known_scores, "statistics": statistics}
        return {"score": score_signature(self.score), **fitted, "rule": rule}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], score: UnknownScore | None = None) -> "UnknownDetection":
        """Builds the detection that a state is of, with its decision score alone.

        Args:
            state: From `state_dict`.
            score: The decision score, if its class is not one of litzoo's.

        Raises:
            ValueError: If the class of the score is not one of litzoo's and no such score is given.
        """
        rule = state["rule"]
        name, options = rule["score"], rule["options"]
        if score is None:
            if name not in scores.__all__ or not issubclass(owner := getattr(scores, name), UnknownScore):
                raise ValueError(f"its unknown-class score, {name}, is not one of litzoo's: pass score={name}(...)")
            score = owner(**options)
        elif type(score).__name__ != name or score_options(score) != options:
            raise ValueError(f"score: {score_signature(score)} was not fitted; the checkpoint holds {state['score']}")
        detection = cls(score, rule["acceptance"], rule["threshold"])
        detection.load_state_dict(state)
        return detection

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state of scores of the same class with the same parameters, and resets all others.

        The acceptance may differ from that of the saved detection: the state has the calibration scores, not only the
        threshold.
        """
        for score in self.scores.values():
            score.load_state_dict(state.get("statistics", {}).get(score_signature(score), {}))
        self.known_scores = state["known_scores"] if state.get("score") == score_signature(self.score) else None


def score_signature(score: UnknownScore) -> str:
    """Returns class and parameters of a score, such as `NearestNeighbors(k=50)`."""
    return f"{type(score).__name__}({', '.join(f'{name}={value}' for name, value in score_options(score).items())})"


def score_options(score: UnknownScore) -> dict[str, Any]:
    """Returns the parameters of a score, by name."""
    return {name: value for name, value in vars(score).items() if name != "statistics"}
