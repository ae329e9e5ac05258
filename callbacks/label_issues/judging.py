"""How probable it is that a label is wrong, and which label would be right: on plain tensors, without a trainer."""

from typing import NamedTuple

import torch
from torch import Tensor

from litzoo.lit_modules.noise_matrix import estimate_noise_matrix

LEAST_ODDS = 0.08
"""Smallest odds of a wrong to a right label, before the sample itself is looked at.

They keep labels that are wrong for no systematic reason in sight. Chosen on other seeds than those of the tables in
docs/label_issues.md, between 0.05 and 0.15.
"""
ITERATIONS = 40
CHUNK = 10_000
"""Samples that are processed at a time, for memory."""


class LabelJudgement(NamedTuple):
    """What the predictions say of N labels.

    Attributes:
        wrong: Probability that the label is wrong, float64 `[N]`; the label is flagged above 0.5.
        log_odds: The same as log-odds, for ranking: these do not saturate at 1.
        suggested: The most probable other class, int64 `[N]`.
        probability: Probability of that class, float64 `[N]`.
        noise_matrix: Estimated fraction of each true class (row) that has each label (column), float32 `[K, K]`.
    """

    wrong: Tensor
    log_odds: Tensor
    suggested: Tensor
    probability: Tensor
    noise_matrix: Tensor


def judge_labels(probabilities: Tensor, given: Tensor) -> LabelJudgement:
    """Judges labels by the predictions of a model that was trained on such labels.

    A model trained on wrong labels predicts them too: where 40 % of the 2s are labelled 7, it predicts 7 with about
    0.4 for each 2. So the noise matrix is estimated first (`estimate_noise_matrix`), then the probabilities of the true
    class that best explain the predictions through it, and from these, by Bayes' rule, the probability that the given
    label is wrong. A sample between two classes is not suspicious unless the two are confused systematically.

    Args:
        probabilities: Predicted probabilities `[N, K]`: the mean over the epochs of a training, or of held-out samples.
        given: Labels 0 to K - 1, int64 `[N]`.
    """
    matrix = estimate_noise_matrix(probabilities, given)
    diagonal = matrix.diagonal().clamp(min=1e-3)
    odds = (matrix.T.double() / diagonal[:, None]).clamp(min=LEAST_ODDS).fill_diagonal_(1)  # [label, true class]
    parts = []
    for rows, label in zip(probabilities.split(CHUNK), given.split(CHUNK), strict=True):
        weights = true_class_probabilities(rows, matrix).double() * odds[label]
        right = weights.gather(1, label[:, None])[:, 0]
        others = weights.scatter(1, label[:, None], 0)
        largest, suggested = others.max(dim=1)
        total = others.sum(dim=1)
        log_odds = total.clamp(min=1e-30).log() - right.clamp(min=1e-30).log()
        parts.append((total / (total + right), log_odds, suggested, largest / (total + right)))
    if not parts:
        empty = torch.zeros(0, dtype=torch.double)
        return LabelJudgement(empty, empty, empty.long(), empty, matrix)
    return LabelJudgement(*(torch.cat(each) for each in zip(*parts, strict=True)), matrix)


def true_class_probabilities(probabilities: Tensor, matrix: Tensor) -> Tensor:
    """Returns the probabilities of the true class that best explain predictions of noisy labels, float32 `[N, K]`.

    They maximise the likelihood Σ_k p_k log Σ_j π_j T[j, k], by expectation maximisation.

    Args:
        probabilities: Predicted probabilities p of the labels `[N, K]`.
        matrix: T, the fraction of each true class (row) that has each label (column) `[K, K]`.
    """
    predicted, matrix = probabilities.float(), matrix.float()
    true = torch.full_like(predicted, 1 / predicted.shape[1])
    for _ in range(ITERATIONS):
        true = true * ((predicted / (true @ matrix).clamp(min=1e-9)) @ matrix.T)
    return true / true.sum(dim=1, keepdim=True).clamp(min=1e-30)


def pair_counts(given: Tensor, judgement: LabelJudgement) -> Tensor:
    """Counts the flagged labels by given label (row) and suggested label (column), int64 `[K, K]`."""
    flagged, classes = judgement.wrong > 0.5, len(judgement.noise_matrix)
    pairs = given[flagged] * classes + judgement.suggested[flagged]
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
