from typing import Literal

import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from callbacks.conformal import rank_of


def auroc(scores: Tensor, unknown: Tensor) -> float:
    """Returns the probability that an unknown sample scores higher than a known one; equal scores count half.

    Args:
        scores: Of all samples at once, higher = more unknown, `[N]`.
        unknown: Whether each is of an unknown class, bool `[N]`.

    Raises:
        ValueError: If there is no known or no unknown sample, or a score is NaN; all functions of this file raise it.
    """
    return float(roc_auc_score(unknown.cpu().numpy(), _ranks(scores, unknown).numpy()))


def aupr(scores: Tensor, unknown: Tensor, positive: Literal["unknown", "known"] = "unknown") -> float:
    """Returns the average precision: precision at each threshold, weighted by the recall that it adds.

    Args:
        scores: `[N]`.
        unknown: Bool `[N]`.
        positive: What is to be found: unknown samples by high scores, or known ones by low scores.

    Raises:
        ValueError: If `positive` is neither; else as `auroc`.
    """
    if positive not in ("unknown", "known"):
        raise ValueError(f"positive: {positive!r} is neither unknown nor known")
    ranks, wanted = _ranks(scores, unknown).numpy(), unknown.cpu().numpy()
    return float(average_precision_score(*((wanted, ranks) if positive == "unknown" else (~wanted, -ranks))))


def false_positive_rate(scores: Tensor, unknown: Tensor, at: float = 0.95) -> float:
    """Returns the share of unknown samples accepted at the lowest threshold that accepts a share of the known ones.

    A sample is accepted if its score is at or below the threshold: known is positive.

    Args:
        scores: `[N]`.
        unknown: Bool `[N]`.
        at: The share of known samples, in (0, 1].

    Raises:
        ValueError: If the share is outside (0, 1]; else as `auroc`.
    """
    if not 0 < at <= 1:
        raise ValueError(f"at: {at} is outside (0, 1]")
    ranks, unknown = _ranks(scores, unknown), unknown.cpu()
    known = ranks[~unknown].sort().values
    return float((ranks[unknown] <= known[rank_of(at, len(known)) - 1]).double().mean())


def oscr(scores: Tensor, prediction: Tensor, target: Tensor) -> float:
    """Returns the open-set classification rate (Dhamija et al., NeurIPS 2018), 1 at best.

    It is the area under the share of known samples that are accepted and recognised, against the share of unknown ones
    that are accepted: the share of known samples recognised, times the AUROC of these against the unknown ones.

    Args:
        scores: `[N]`.
        prediction: Classes `[N]`.
        target: Classes `[N]`, negative (`UNKNOWN`) for unknown samples.

    Raises:
        ValueError: As `auroc`.
    """
    scores, prediction, target = scores.cpu(), prediction.cpu(), target.cpu()
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {list(prediction.shape)} and target {list(target.shape)}: both need [N] classes")
    unknown = target < 0
    right = ~unknown & (prediction == target)
    _ranks(scores, unknown)
    if not bool(right.any()):
        return 0.0
    counted = unknown | right
    return float(right.sum() / (~unknown).sum().double()) * auroc(scores[counted], unknown[counted])


def _ranks(scores: Tensor, unknown: Tensor) -> Tensor:
    """Returns whole numbers in the order of the scores, equal ones for equal scores: infinite ones do no harm."""
    scores, unknown = scores.cpu(), unknown.cpu()
    if scores.ndim != 1 or unknown.shape != scores.shape or unknown.dtype != torch.bool:
        raise ValueError(
            f"scores {list(scores.shape)} and unknown {list(unknown.shape)} of {unknown.dtype}: both need one entry a "
            "sample, [N], the second a bool"
        )
    if broken := int(scores.isnan().sum()):
        raise ValueError(f"scores: {broken:,} of {len(scores):,} are NaN")
    if bool(unknown.all()) or not bool(unknown.any()):
        raise ValueError(
            f"{int((~unknown).sum()):,} known and {int(unknown.sum()):,} unknown samples: both kinds are needed to "
            "compare them"
        )
    return scores.unique(return_inverse=True)[1]
