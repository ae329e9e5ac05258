from collections.abc import Sequence
from math import isnan
from typing import Literal

import numpy as np
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import Tensor

from litzoo.callbacks.unknown.calibration import rank_of


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
    """Returns the fraction of unknown samples accepted at the lowest threshold that accepts a fraction of the known ones.

    A sample is accepted if its score is at or below the threshold: known is positive.

    Args:
        scores: `[N]`.
        unknown: Bool `[N]`.
        at: The fraction of known samples, in (0, 1].

    Raises:
        ValueError: If the fraction is outside (0, 1]; else as `auroc`.
    """
    if not 0 < at <= 1:
        raise ValueError(f"at: {at} is outside (0, 1]")
    ranks, unknown = _ranks(scores, unknown), unknown.cpu()
    known = ranks[~unknown].sort().values
    return float((ranks[unknown] <= known[rank_of(at, len(known)) - 1]).double().mean())


def oscr(scores: Tensor, prediction: Tensor, target: Tensor) -> float:
    """Returns the open-set classification rate (Dhamija et al., NeurIPS 2018), 1 at best.

    It is the area under the fraction of known samples that are accepted and recognised, against the fraction of unknown ones
    that are accepted: the fraction of known samples recognised, times the AUROC of these against the unknown ones.

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


def open_set_scores(
    scores: Tensor,
    prediction: Tensor,
    target: Tensor,
    threshold: float,
    class_names: Sequence[str],
    unknown_names: Sequence[str] = (),
) -> dict[str, float]:
    """Compares scores, and the answers that a threshold makes of them, with the truth.

    A sample is called unknown if its score is above the threshold; else it is accepted as the class predicted.

    Args:
        scores: Of all test samples at once, higher = more unknown, `[N]`.
        prediction: Likeliest known classes, int64 `[N]`.
        target: Known classes, int64 `[N]`; negative (`UNKNOWN`) for unknown samples.
        threshold: What is called unknown.
        class_names: Of the K known classes.
        unknown_names: The class of each unknown sample, in their order; empty where it is not known.

    Returns:
        `unknown/auroc`, `unknown/aupr_unknown_positive`, `unknown/fpr95_known_positive`, `unknown/oscr`; fractions of the
        unknown samples called unknown, `unknown/found`, and of each unknown class, `unknown/found/<class>`; fractions of
        the known samples accepted, `known/accepted`, and accepted as the right class, `known/acc`; `open_set_f1`, the
        macro average over the known classes and unknown as one more, of those that a sample has or is given.

    Raises:
        ValueError: If there is no known or no unknown sample, a score or the threshold is NaN, or the names are not one
            for each unknown sample.
    """
    scores, prediction, target = scores.cpu(), prediction.cpu(), target.cpu()
    unknown, names = target < 0, np.array(unknown_names, dtype=object)
    if isnan(threshold):
        raise ValueError("threshold: it is NaN")
    if len(names) not in (0, int(unknown.sum())):
        raise ValueError(f"unknown_names: {len(names):,} names for {int(unknown.sum()):,} unknown samples")
    ranking = {
        "unknown/auroc": auroc(scores, unknown),
        "unknown/aupr_unknown_positive": aupr(scores, unknown),
        "unknown/fpr95_known_positive": false_positive_rate(scores, unknown),
        "unknown/oscr": oscr(scores, prediction, target),
    }
    rejected, one_more = scores > threshold, len(class_names)
    found, accepted = rejected[unknown].numpy(), ~rejected[~unknown].numpy()
    right = (prediction == target)[~unknown].numpy()
    truth, answer = target.masked_fill(unknown, one_more), prediction.masked_fill(rejected, one_more)
    macro = {"labels": range(one_more + 1), "average": "macro", "zero_division": np.nan}  # NaN is left out of the mean
    return {
        **ranking,
        "unknown/found": float(found.mean()),
        "known/accepted": float(accepted.mean()),
        "known/acc": float((accepted & right).mean()),
        "open_set_f1": float(f1_score(truth.numpy(), answer.numpy(), **macro)),
        # A slash in a name would open a sub-group in TensorBoard.
        **{
            f"unknown/found/{name.replace('/', '-')}": float(found[names == name].mean())
            for name in sorted(set(unknown_names))
        },
    }
