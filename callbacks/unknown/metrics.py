"""Metrics of unknown-class (OOD) detection and open-set classification, on plain tensors.

All functions take scores with higher = more unknown, and raise a ValueError if there is no known or no unknown sample,
or a score is NaN.
"""

from collections.abc import Sequence
from math import isnan, sqrt
from typing import Literal

import numpy as np
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import Tensor

from litzoo.callbacks.unknown.calibration import exact_ceil


def open_set_scores(
    scores: Tensor,
    prediction: Tensor,
    target: Tensor,
    threshold: float,
    class_names: Sequence[str],
    unknown_names: Sequence[str] = (),
) -> dict[str, float]:
    """Evaluates scores, and the open-set predictions that result from a threshold.

    A sample with a score above the threshold is classified as unknown; otherwise it is accepted as the predicted class.

    Args:
        scores: Scores of all test samples, `[N]`.
        prediction: Most likely known class of each, int64 `[N]`.
        target: True class of each, int64 `[N]`; negative (`UNKNOWN`) for unknown samples.
        threshold: The largest score that is accepted.
        class_names: Names of the K known classes.
        unknown_names: True class name of each unknown sample, in order; empty if the names are not available.

    Returns:
        Of the scores: `unknown/auroc`, `unknown/aupr_unknown_positive`, `unknown/fpr95_known_positive`,
        `unknown/fpr95_unknown_positive` and `unknown/oscr`. Of the decisions: `unknown/found`, the fraction of unknown
        samples classified as unknown, and `unknown/found/<class>` for each unknown class; `known/accepted`, the
        fraction of known samples accepted, and `known/acc`, accepted as the right class; `open_set_f1`, the macro F1
        over the known classes and "unknown", without classes that are neither a target nor a prediction.

    Raises:
        ValueError: If there is no known or no unknown sample, a score or the threshold is NaN, or the number of names
            differs from that of the unknown samples.
    """
    scores, prediction, target = scores.cpu(), prediction.cpu(), target.cpu()
    unknown, names = target < 0, np.array(unknown_names, dtype=object)
    if isnan(threshold):
        raise ValueError("threshold: it is NaN; give a number")
    if len(names) not in (0, int(unknown.sum())):
        raise ValueError(f"unknown_names: {len(names):,} names for {int(unknown.sum()):,} unknown samples")
    ranking = {
        "unknown/auroc": auroc(scores, unknown),
        "unknown/aupr_unknown_positive": aupr(scores, unknown),
        "unknown/fpr95_known_positive": false_positive_rate(scores, unknown),
        "unknown/fpr95_unknown_positive": false_positive_rate(-scores, ~unknown),
        "unknown/oscr": oscr(scores, prediction, target),
    }
    rejected, unknown_label = scores > threshold, len(class_names)
    found = rejected[unknown].numpy()
    truth, decision = target.masked_fill(unknown, unknown_label), prediction.masked_fill(rejected, unknown_label)
    # With zero_division NaN, classes without target and prediction are left out of the mean.
    macro = {"labels": range(unknown_label + 1), "average": "macro", "zero_division": np.nan}
    return {
        **ranking,
        "unknown/found": float(found.mean()),
        **known_rates(scores, prediction, target, threshold),
        "open_set_f1": float(f1_score(truth.numpy(), decision.numpy(), **macro)),
        # A slash in a name would open a sub-group in TensorBoard.
        **{
            f"unknown/found/{name.replace('/', '-')}": float(found[names == name].mean())
            for name in sorted(set(unknown_names))
        },
    }


def known_rates(scores: Tensor, prediction: Tensor, target: Tensor, threshold: float) -> dict[str, float]:
    """Evaluates the decisions for known samples alone: `known/accepted` and `known/acc`, as in `open_set_scores`.

    Args:
        scores: Scores of all test samples, `[N]`; a NaN is not accepted.
        prediction: Most likely known class of each, int64 `[N]`.
        target: True class of each, int64 `[N]`, negative for unknown samples, of which it takes no account.
        threshold: The largest score that is accepted.
    """
    known = target >= 0
    accepted = (scores <= threshold)[known]
    right = (prediction == target)[known]
    return {
        "known/accepted": float(accepted.double().mean()),
        "known/acc": float((accepted & right).double().mean()),
    }


def auroc(scores: Tensor, unknown: Tensor) -> float:
    """Returns the probability that an unknown sample scores higher than a known one; ties count half.

    Args:
        scores: Scores of all samples, `[N]`.
        unknown: Whether each is of an unknown class, bool `[N]`.

    Raises:
        ValueError: If there is no known or no unknown sample, or a score is NaN.
    """
    return float(roc_auc_score(unknown.cpu().numpy(), _ranks(scores, unknown).numpy()))


def auroc_deviation(known: int, unknown: int) -> float:
    """Returns the standard deviation of the AUROC of a score without information (Mann and Whitney 1947).

    Args:
        known: Number of known samples.
        unknown: Number of unknown samples.
    """
    return sqrt((known + unknown + 1) / (12 * known * unknown))


def aupr(scores: Tensor, unknown: Tensor, positive: Literal["unknown", "known"] = "unknown") -> float:
    """Returns the area under the precision-recall curve as average precision.

    Args:
        scores: `[N]`.
        unknown: Bool `[N]`.
        positive: The positive class: unknown samples, retrieved by high scores, or known ones, by low scores.

    Raises:
        ValueError: If `positive` is neither; otherwise as `auroc`.
    """
    if positive not in ("unknown", "known"):
        raise ValueError(f"positive: {positive!r} is not unknown or known")
    ranks, positives = _ranks(scores, unknown).numpy(), unknown.cpu().numpy()
    return float(average_precision_score(*((positives, ranks) if positive == "unknown" else (~positives, -ranks))))


def false_positive_rate(scores: Tensor, unknown: Tensor, at: float = 0.95) -> float:
    """Returns the fraction of unknown samples accepted at the lowest threshold that accepts a fraction of the known.

    A sample is accepted if its score is at or below the threshold. Known is the positive class: FPR at 95 % TPR. With
    `-scores` and `~unknown`, unknown is the positive class, as OpenOOD and pytorch-ood report it.

    Args:
        scores: `[N]`.
        unknown: Bool `[N]`.
        at: The fraction of known samples, in (0, 1].

    Raises:
        ValueError: If the fraction is outside (0, 1]; otherwise as `auroc`.
    """
    if not 0 < at <= 1:
        raise ValueError(f"at: {at} is outside (0, 1]")
    ranks, unknown = _ranks(scores, unknown), unknown.cpu()
    known = ranks[~unknown].sort().values
    return float((ranks[unknown] <= known[exact_ceil(at, len(known)) - 1]).double().mean())


def oscr(scores: Tensor, prediction: Tensor, target: Tensor) -> float:
    """Returns the area under the open-set classification rate curve (Dhamija et al., NeurIPS 2018), at most 1.

    The curve is the fraction of known samples accepted and classified correctly, over the fraction of unknown samples
    accepted. Its area is the closed-set accuracy times the AUROC of correctly classified against unknown samples.

    Args:
        scores: `[N]`.
        prediction: Predicted known classes `[N]`.
        target: True classes `[N]`, negative (`UNKNOWN`) for unknown samples.

    Raises:
        ValueError: As `auroc`.
    """
    scores, prediction, target = scores.cpu(), prediction.cpu(), target.cpu()
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {list(prediction.shape)} and target {list(target.shape)}: both need [N] classes")
    unknown = target < 0
    right = ~unknown & (prediction == target)
    _ranks(scores, unknown)  # raises on invalid scores
    if not bool(right.any()):
        return 0.0
    counted = unknown | right
    return float(right.sum() / (~unknown).sum().double()) * auroc(scores[counted], unknown[counted])


def _ranks(scores: Tensor, unknown: Tensor) -> Tensor:
    """Returns the dense ranks of scores (equal for ties), with which infinite scores can be compared too."""
    scores, unknown = scores.cpu(), unknown.cpu()
    if scores.ndim != 1 or unknown.shape != scores.shape or unknown.dtype != torch.bool:
        raise ValueError(
            f"scores {list(scores.shape)} and unknown {list(unknown.shape)} of {unknown.dtype}: both need one entry "
            "per sample, [N], the second a bool"
        )
    if broken := int(scores.isnan().sum()):
        raise ValueError(f"scores: {broken:,} of {len(scores):,} are NaN")
    if bool(unknown.all()) or not bool(unknown.any()):
        raise ValueError(
            f"{int((~unknown).sum()):,} known and {int(unknown.sum()):,} unknown samples: at least one of each is "
            "needed"
        )
    return scores.unique(return_inverse=True)[1]
