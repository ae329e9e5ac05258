"""All unknown-class scores exported by `litzoo.callbacks.unknown.scores`, and samples to fit and call them with."""

import pytest
import torch
from torch import nn

from litzoo.callbacks.unknown import scores as unknown_scores
from litzoo.callbacks.unknown.scores import Evidence, UnknownScore

K, D = 4, 12
SCORES = [
    score
    for score in (getattr(unknown_scores, name) for name in unknown_scores.__all__)
    if issubclass(score, UnknownScore) and score is not UnknownScore
]
# Every score is tested with its defaults; these also with other options.
OPTIONS = {
    "Energy": [{"temperature": 3.0}],
    "GeneralizedEntropy": [{"gamma": 0.5, "top": 2}],
    "Mahalanobis": [{"shrinkage": 0.2}, {"shrinkage": 0.0}],
    "RelativeMahalanobis": [{"shrinkage": 0.0}],
    "ReAct": [{"percentile": 99.0}],
    "NearestNeighbors": [{"k": 1}],
    "OpenMax": [{"tail": 5, "alpha": 1}],
    "ViM": [{"dimension": 3}],
}
VARIANTS = [(score, options) for score in SCORES for options in ({}, *OPTIONS.get(score.__name__, []))]
every_score = pytest.mark.parametrize(
    ("score_class", "options"), VARIANTS, ids=[" ".join([score.__name__, *options]) for score, options in VARIANTS]
)


def known_samples(rows=400, classes=K, features=D, seed=0, dtype=torch.float32):
    """Returns evidence of well separated classes, their targets, and the head that computed the logits."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.arange(rows) % classes
    head = nn.Linear(features, classes)
    head.weight.data = torch.eye(classes, features) + 0.1 * torch.randn(classes, features, generator=generator)
    head.bias.data = 0.5 * torch.randn(classes, generator=generator)
    spread = torch.randn(features, features, generator=generator) / features**0.5
    values = 8 * torch.eye(classes, features)[target] + torch.randn(rows, features, generator=generator) @ spread
    head, values = head.to(dtype).requires_grad_(False), values.to(dtype)
    return Evidence(head(values), values), target, head


def some_samples(head, rows=30, seed=1):
    """Returns evidence of random samples."""
    generator = torch.Generator().manual_seed(seed)
    values = 4 * torch.randn(rows, head.in_features, generator=generator).to(head.weight.dtype)
    return Evidence(head(values), values)


def fitted(score_class, options, **kwargs):
    """Returns a score fitted on known samples, and evidence to score."""
    score = score_class(**options)
    known, target, head = known_samples(**kwargs)
    score.fit(known, target, head)
    return score, some_samples(head)
