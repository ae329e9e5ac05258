"""All ways to learn from unlabeled samples, found in `lit_modules`, and what they are called with."""

import inspect

import pytest
import torch
from torch import nn

from litzoo.lit_modules import AssignedLabels, PseudoLabels, SoftMixUp

K = 4
N = 40
# Every method is tested with its defaults; these also so.
OPTIONS = {
    "AssignedLabels": [{"view": "strong"}],
    "FixMatch": [{"align": True}],
    "OnlinePseudoLabels": [{"align": True}],
    "SoftMixUp": [{"align": True, "even": 0.0, "entropy": 0.0}],
}


def subclasses(owner):
    return [each for child in owner.__subclasses__() for each in (child, *subclasses(child))]


FOUND = [
    method
    for method in subclasses(PseudoLabels)
    if method.__module__.startswith("litzoo.lit_modules.") and not inspect.isabstract(method)
]
VARIANTS = [(method, options) for method in FOUND for options in ({}, *OPTIONS.get(method.__name__, []))]
every_method = pytest.mark.parametrize(
    ("method_class", "options"), VARIANTS, ids=[" ".join([method.__name__, *options]) for method, options in VARIANTS]
)


def ready(method, classes=K, samples=N):
    """Returns a method that needs little confidence, with labels for all samples if it takes any."""
    method.threshold = min(method.threshold, 0.5 / classes)
    if isinstance(method, AssignedLabels):
        drawn = torch.Generator().manual_seed(3)
        label = torch.randint(classes, (samples,), generator=drawn)
        method.assign(label, 0.5 + 0.5 * torch.rand(samples, generator=drawn), 0.6)
    return method


class Linear(nn.Module):
    """A student whose logits are its inputs times its weights, as they are when these are left out."""

    def __init__(self, weight=None, class_counts=(1,) * K):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(len(class_counts)) if weight is None else weight)
        self.class_counts = torch.tensor(class_counts)
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return x @ self.weight


class Network(nn.Module):
    """A student with batch norm, of rows of four numbers."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(K, 8), nn.BatchNorm1d(8), nn.Linear(8, K)
        self.class_counts = torch.tensor([4, 3, 2, 1])

    def forward(self, x):
        return self.last(self.norm(self.first(x)).relu())


def networks():
    """Returns two students with the same weights."""
    first, second = Network(), Network()
    second.load_state_dict(first.state_dict())
    return first, second


def batch(labeled=3, unlabeled=6, width=K):
    """Returns a semi-supervised batch of random rows; the network is more confident about the first rows."""
    scale = torch.linspace(5, 0.5, unlabeled)[:, None]
    return {
        "labeled": {
            "input": torch.randn(labeled, width),
            "target": torch.arange(labeled) % K,
            "index": torch.arange(labeled),
        },
        "unlabeled": {
            "weak": scale * torch.randn(unlabeled, width),
            "strong": torch.randn(unlabeled, width),
            "index": torch.randperm(N)[:unlabeled],
        },
    }


def fixed_mix(monkeypatch, method, partner, fraction):
    """Lets a `SoftMixUp` mix with these partners and fractions instead of drawn ones."""
    assert isinstance(method, SoftMixUp)

    def mix(inputs, eligible):
        rows, whole = eligible.nonzero()[:, 0], torch.arange(len(inputs))
        assert len(rows) == len(partner)
        whole[rows] = rows[partner]
        return fraction * inputs + (1 - fraction) * inputs[whole], whole, fraction

    monkeypatch.setattr(method, "mix", mix)
