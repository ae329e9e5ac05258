from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from litzoo.callbacks.unknown.calibration import acceptance_threshold
from litzoo.callbacks.unknown.scores import Evidence, UnknownScore


class UnknownDetection:
    """Scores, the threshold of the one that decides, and what both have learned from known samples.

    Args:
        score: Decides.
        acceptance: Fraction of the known samples that the threshold accepts, in (0, 1).
        threshold: A fixed one instead.
        report: Further scores, which decide nothing.

    Raises:
        ValueError: If the acceptance is outside (0, 1), the threshold is not finite, or two scores are of the same
            class.

    Attributes:
        scores: All scores by name, the one that decides first.
        known_scores: Of the validation samples, in ascending order; `None` before the calibration.
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
            raise ValueError(f"UnknownClassDetector.threshold: {threshold} is no finite number")
        self.score, self.acceptance, self.fixed = score, acceptance, threshold
        self.scores = {type(each).__name__: each for each in (score, *report)}
        if len(self.scores) <= len(report):
            raise ValueError("UnknownClassDetector.report: a score is there twice; name each class of scores once")
        self.known_scores: Tensor | None = None

    @property
    def name(self) -> str:
        """Of the score that decides."""
        return type(self.score).__name__

    @property
    def threshold(self) -> float:
        """The largest score of a sample that is accepted.

        Raises:
            ValueError: If there are too few validation samples for the acceptance.
        """
        if self.fixed is not None:
            return self.fixed
        assert self.known_scores is not None
        return acceptance_threshold(self.known_scores, self.acceptance)

    @property
    def uses_features(self) -> bool:
        """Whether a score looks at features."""
        return any(score.uses_features for score in self.scores.values())

    @property
    def fits(self) -> bool:
        """Whether a score has to be fitted on training samples."""
        return any(score.fits for score in self.scores.values())

    @property
    def unfitted(self) -> UnknownScore | None:
        """The first score that needs no fitting, the one that decides before the others."""
        return next((score for score in self.scores.values() if not score.fits), None)

    @property
    def learned(self) -> bool:
        """Whether an answer or a report rests on what was fitted or calibrated before."""
        calibrated = self.fixed is None and self.known_scores is not None
        return calibrated or any(score.statistics for score in self.scores.values())

    def fit(self, known: Evidence, target: Tensor, head: nn.Linear | None) -> None:
        """Fits the scores on training samples; see `UnknownScore.fit`.

        What cannot be fitted and decides nothing is left out, with a warning.

        Raises:
            ValueError: If the score that decides cannot be fitted.
        """
        for name, score in self.scores.items():
            score.load_state_dict({})
            try:
                score.fit(known, target, head)
            except ValueError as problem:
                if score is self.score:
                    raise
                rank_zero_warn(f"UnknownClassDetector.report: {name} is left out. {problem}")

    def calibrate(self, known: Evidence) -> None:
        """Notes the scores of validation samples, for the threshold.

        Raises:
            ValueError: If they are too few for the acceptance.
        """
        self.known_scores = self.score(known).cpu().sort().values
        _ = self.threshold

    def missing(self) -> list[str]:
        """Names what would have to be fitted before anything can be detected."""
        threshold = ["the threshold"] if self.fixed is None and self.known_scores is None else []
        return [*threshold, *([] if self.name in self.usable else [f"the statistics of {self.name}"])]

    @property
    def usable(self) -> dict[str, UnknownScore]:
        """The scores that have learned what they need."""
        return {name: score for name, score in self.scores.items() if score.statistics or not score.fits}

    def to(self, device: torch.device) -> None:
        """Moves what the scores have learned."""
        for score in self.scores.values():
            score.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Returns what was learned, and of which scores; nothing before."""
        statistics = {shown(score): score.state_dict() for score in self.scores.values() if score.statistics}
        if self.known_scores is None and not statistics:
            return {}
        return {"score": shown(self.score), "known_scores": self.known_scores, "statistics": statistics}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what belongs to the scores that are asked for, with the same parameters.

        The acceptance may be another one than before: the calibration scores are kept, not the threshold alone.
        """
        for score in self.scores.values():
            score.load_state_dict(state.get("statistics", {}).get(shown(score), {}))
        self.known_scores = state["known_scores"] if state.get("score") == shown(self.score) else None


def shown(score: UnknownScore) -> str:
    """Writes a score with its parameters, such as `NearestNeighbors(k=50)`."""
    options = {name: value for name, value in vars(score).items() if name != "statistics"}
    return f"{type(score).__name__}({', '.join(f'{name}={value}' for name, value in options.items())})"
