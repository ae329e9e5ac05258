"""All classification losses, found in `litzoo.lit_modules.losses`, and what they are called with."""

import inspect

import pytest
import torch

from litzoo.lit_modules import losses

K = 4
ROWS = 64
FOUND = [
    loss
    for loss in (getattr(losses, name) for name in losses.__all__)
    if issubclass(loss, losses.ClassificationLoss) and loss is not losses.ClassificationLoss
]
ONE_SIDED = [[0.6, 0.4, 0, 0], [0, 1, 0, 0], [0, 0, 0.9, 0.1], [0, 0, 0, 1]]
# Every loss is tested with its defaults; these also so.
OPTIONS = {
    "Bootstrapping": [{"hard": False}],
    "DisturbLabel": [{"alpha": 1.0}],
    "FocalLoss": [{"gamma": 0.5}],
    "ForwardCorrection": [{"matrix": ONE_SIDED}],
    "GeneralizedCrossEntropy": [{"q": 0.0}, {"q": 1.0}],
    "LDAMLoss": [{"reweight_from": 0, "scale": 30.0}],
    "LabelSmoothing": [{"spread": "others"}],
    "LogitAdjustedCrossEntropy": [{"tau": 0.5}],
    "LogitNorm": [{"temperature": 1.0}],
}
VARIANTS = [(loss, options) for loss in FOUND for options in ({}, *OPTIONS.get(loss.__name__, []))]
every_loss = pytest.mark.parametrize(
    ("loss_class", "options"), VARIANTS, ids=[" ".join([loss.__name__, *options]) for loss, options in VARIANTS]
)


def call(loss, logits, target, index=None, epoch=9):
    """Returns the loss, which is given whatever else it asks for."""
    known = {
        "index": torch.arange(len(logits)) if index is None else index,
        "epoch": epoch,
        "class_counts": torch.tensor([50.0, 20.0, 10.0, 5.0]),
        "class_weights": torch.ones(K),
    }
    asked = list(inspect.signature(loss.forward).parameters)[2:]
    return loss(logits, target, **{name: known[name] for name in asked})


def trained(loss_class, options, reduction="none"):
    """Returns a loss that has seen `ROWS` samples in each of nine epochs: those that remember have something to."""
    loss = loss_class(**options, reduction=reduction)
    generator = torch.Generator().manual_seed(7)
    logits, target = 2 * torch.randn(ROWS, K, generator=generator), torch.randint(K, (ROWS,), generator=generator)
    for epoch in range(9):
        call(loss, logits, target, epoch=epoch)
    return loss


def batch(rows=6, dtype=torch.float32):
    """Returns random logits `[B, K]` and targets `[B]`."""
    return 2 * torch.randn(rows, K, dtype=dtype), torch.randint(K, (rows,))
