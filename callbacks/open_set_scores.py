from collections.abc import Sequence
from math import isnan

import numpy as np
from sklearn.metrics import f1_score
from torch import Tensor

from callbacks.unknown_metrics import aupr, auroc, false_positive_rate, oscr


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
        `unknown/auroc`, `unknown/aupr_unknown_positive`, `unknown/fpr95_known_positive`, `unknown/oscr`; shares of the
        unknown samples called unknown, `unknown/found`, and of each unknown class, `unknown/found/<class>`; shares of
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
