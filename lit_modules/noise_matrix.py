"""The noise matrix of a training set, estimated from the predictions for its samples and their labels."""

import torch
from torch import Tensor

CONFIDENT = 0.9
"""A sample is confident if its probability is at least this fraction of the median of its predicted class."""
LEAST = 5
"""Samples that must be labelled as a class, and be predicted as it, to estimate its row."""


def class_confidence(probabilities: Tensor, given: Tensor) -> Tensor:
    """Returns the mean probability of each class over the samples labelled so, `[K]`; 1 for a class without a label.

    Args:
        probabilities: Predicted probabilities `[N, K]`.
        given: Labels 0 to K - 1, int64 `[N]`.
    """
    classes = probabilities.shape[1]
    counts = torch.bincount(given, minlength=classes)
    own = probabilities.gather(1, given[:, None])[:, 0]
    sums = torch.zeros(classes, dtype=own.dtype, device=own.device).index_add_(0, given, own)
    return torch.where(counts > 0, sums / counts.clamp(min=1), torch.ones_like(sums))


def confident_counts(probabilities: Tensor, given: Tensor) -> Tensor:
    """Counts confident samples by true class (row) and label (column), int64 `[K, K]`.

    As in confident learning (Northcutt et al. 2021), the probability of each class is compared with its mean over the
    samples labelled so, since label noise lowers all probabilities of a class alike. The true class of a sample is the
    one that exceeds its mean the most. Northcutt et al. count a sample if that class exceeds its mean at all. Here it
    counts if its probability is nearly the median of all samples predicted so, which leaves out the samples that lie
    between two classes. A class that hardly any sample is labelled as, or that the model hardly ever predicts, has no
    counts: the probabilities exceed its small mean by chance.

    Args:
        probabilities: Predicted probabilities `[N, K]`, better of a model that has not memorised the labels.
        given: Labels 0 to K - 1, int64 `[N]`.
    """
    classes = probabilities.shape[1]
    predicted = (probabilities - class_confidence(probabilities, given)).argmax(dim=1)
    counts = torch.zeros(classes, classes, dtype=torch.int64, device=given.device)
    most_probable = torch.bincount(probabilities.argmax(dim=1), minlength=classes)
    known = (most_probable >= LEAST) & (torch.bincount(given, minlength=classes) >= LEAST)
    for label in torch.nonzero(known)[:, 0].tolist():
        own = torch.nonzero(predicted == label)[:, 0]
        if len(own) >= LEAST:
            confidence = probabilities[own, label]
            confident = own[confidence >= CONFIDENT * confidence.quantile(0.5)]
            counts[label] = torch.bincount(given[confident], minlength=classes)
    return counts


def estimate_noise_matrix(probabilities: Tensor, given: Tensor) -> Tensor:
    """Estimates the fraction of each true class (row) that has each label (column), float32 `[K, K]`.

    Each row of `confident_counts` divided by its sum; that of a class that is hardly ever predicted is the identity's.

    Args:
        probabilities: Predicted probabilities `[N, K]`.
        given: Labels 0 to K - 1, int64 `[N]`.
    """
    counts = confident_counts(probabilities, given)
    totals = counts.sum(dim=1, keepdim=True)
    return torch.where(totals > 0, counts / totals.clamp(min=1), torch.eye(len(counts), device=counts.device))
