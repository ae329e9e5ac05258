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

from litzoo.callbacks.unknown.calibration import acceptance_threshold
from litzoo.callbacks.unknown.scores import Evidence, UnknownScore


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
        >>> detection = UnknownDetection(scores.MaxLogit(), acceptance=0.95)
        >>> detection.fit(Evidence(train_logits, train_features), train_target)
        >>> detection.calibrate(Evidence(val_logits, val_features))
        >>> unknown = detection.score(Evidence(logits, features)) > detection.threshold
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
        """The first score that needs no fitting, so that it can be logged during training; None if there is none."""
        return next((score for score in self.scores.values() if not score.fits), None)

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

    def fit(self, known: Evidence, target: Tensor, head: nn.Linear | None = None) -> None:
        """Fits all scores on training samples; see `UnknownScore.fit`.

        Reported scores that cannot be fitted are left out, with a warning.

        Raises:
            ValueError: If the decision score cannot be fitted.
        """
        for name, score in self.scores.items():
            score.load_state_dict({})
            try:
                score.fit(known, target, head)
            except ValueError as error:
                if score is self.score:
                    raise
                rank_zero_warn(f"UnknownClassDetector.report: {name} is left out. {error}")

    def calibrate(self, known: Evidence) -> None:
        """Stores the decision scores of validation samples, from which the threshold is computed.

        Raises:
            ValueError: If there are too few for the acceptance.
        """
        self.known_scores = self.score(known).cpu().sort().values
        _ = self.threshold

    def to(self, device: torch.device) -> None:
        """Moves the fitted statistics to a device."""
        for score in self.scores.values():
            score.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Returns calibration scores and statistics, with the scores they belong to; an empty dict before fitting."""
        statistics = {score_signature(score): score.state_dict() for score in self.scores.values() if score.statistics}
        if self.known_scores is None and not statistics:
            return {}
        return {"score": score_signature(self.score), "known_scores": self.known_scores, "statistics": statistics}

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
    options = {name: value for name, value in vars(score).items() if name != "statistics"}
    return f"{type(score).__name__}({', '.join(f'{name}={value}' for name, value in options.items())})"
