"""Ranking of training samples by how likely their label is wrong: on plain tensors, without a trainer.

`rank_suspects` ranks what `SampleStatistics` collects, `ranking_quality` evaluates a ranking where the true labels are
known. The callback `NoisyLabelFinder` does both.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from litzoo.callbacks.samples import ABSENT
from litzoo.lit_modules.label_judgement import LabelJudgement, judge_labels
from litzoo.lit_modules.noise_matrix import class_confidence

Method = Literal["posterior", "normalized_margin", "margin", "loss"]
METHODS = get_args(Method)


def rank_suspects(seen: Mapping[str, Tensor], method: Method = "posterior") -> tuple[dict[str, Tensor], LabelJudgement]:
    """Ranks samples by a score, the most suspicious first; ties are in the order of the training set.

    Args:
        seen: For each of N positions in the training set the sums over the epochs of its predicted `probabilities`
            `[N, K]`, `loss` and `margin`, how many were added (`count`; samples with 0 are left out), and the labels
            `given`, `predicted` and true (`clean`, `ABSENT` if not known); `SampleStatistics.seen` is of this form.
        method: `posterior`, the probability that the label is wrong (see `judge_labels`); `normalized_margin`, the
            largest other probability minus that of the label, each minus its class's mean self-confidence (Northcutt et
            al. 2021); `margin`, the same with logits and without the means (AUM, Pleiss et al. 2020); or `loss`, the
            mean cross-entropy.

    Returns:
        `index`, `score` (float64; higher is more suspicious), `given`, `predicted` and `clean` of the n ranked samples,
        and the judgement of their labels in the same order; all on the CPU.
    """
    columns = {name: values.cpu() for name, values in seen.items()}
    index = torch.nonzero(columns["count"])[:, 0]
    counts, given = columns["count"][index].double(), columns["given"][index].long()
    probabilities = columns["probabilities"][index] / counts[:, None].float()
    judgement = judge_labels(probabilities, given)
    if method == "posterior":
        score, key = judgement.wrong, judgement.log_odds
    elif method == "normalized_margin":
        score = key = _normalized_margin(probabilities, given).double()
    else:
        score = key = (columns["loss"] if method == "loss" else -columns["margin"])[index].double() / counts
    order = torch.argsort(key, descending=True, stable=True)
    labels = {name: columns[name][index][order].long() for name in ("given", "predicted", "clean")}
    return {"index": index[order], "score": score[order], **labels}, judgement.reordered(order)


def known_labels(seen: Mapping[str, Tensor]) -> bool:
    """Whether the true label of a sample is known."""
    return bool((seen["clean"] != ABSENT).any())


def wrong_labels(ranking: Mapping[str, Tensor]) -> Tensor:
    """Returns which labels of a ranking are known to be wrong, bool `[n]`."""
    return (ranking["clean"] != ABSENT) & (ranking["clean"] != ranking["given"])


def ranking_quality(wrong: Tensor) -> dict[str, float]:
    """Evaluates a ranking against the true labels.

    Args:
        wrong: Whether each label is wrong, bool `[n]`, the most suspicious first.

    Returns:
        `precision` and `recall` of the first W samples, where W is the number of wrong labels (so that both are equal),
        and `average_precision` of the whole ranking; an empty dict if no label is wrong.
    """
    if not (total := int(wrong.sum())):
        return {}
    found = wrong.double().cumsum(0)
    hits = float(found[total - 1]) / total
    precision = found / torch.arange(1, len(wrong) + 1)
    return {"precision": hits, "recall": hits, "average_precision": float(precision[wrong].mean())}


def _normalized_margin(probabilities: Tensor, given: Tensor) -> Tensor:
    if not len(given):
        return probabilities.sum(dim=1)
    relative = probabilities - class_confidence(probabilities, given)
    label = given[:, None]
    return relative.scatter(1, label, -torch.inf).amax(dim=1) - relative.gather(1, label)[:, 0]
