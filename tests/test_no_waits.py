"""One training step makes the host wait for nothing: counted on the CPU, so that it holds without a GPU."""

from functools import partial

import pytest
import torch

from litzoo import callbacks as zoo
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, FixMatch, SoftmaxRegression, losses
from litzoo.lit_modules.losses import base
from tests.lit_modules.losses.catalogue import FOUND, batch, call, every_loss
from tests.lit_modules.semi_supervised.methods import every_method, ready
from tests.training import cpu_trainer
from tests.waiting import CountWaits, CountWaitsOfSteps

ON_THE_HOST = {
    "SoftMixUp": {"_local_scalar_dense": 1},  # the mixing fraction, drawn on the host on every device
}
"""Reads of values that are on the host anyway, by method and operation."""


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch):
    """Leaves out the checks of targets, which are made where reading them is free."""
    monkeypatch.setattr(base, "_is_readable", lambda values: False)


def waits(model, datamodule, *callbacks):
    """Trains for one epoch; returns the waits of all steps but the first, and their number."""
    first = CountWaitsOfSteps()
    trainer = cpu_trainer(callbacks=[first, *callbacks, CountWaitsOfSteps(first)], limit_val_batches=0)
    trainer.fit(model, datamodule)
    assert first.steps >= 2
    return dict(first.counts), first.steps


def digits(**options):
    return DigitsDataModule(**({"train_size": 60, "val_size": 20, "batch_size": 12} | options))


def regression(**options):
    return SoftmaxRegression((1, 28, 28), 10, optimizer=partial(torch.optim.SGD, lr=0.1), **options)


def test_waits_are_counted():
    x = torch.arange(3.0)
    with CountWaits() as counted:
        x.max().item(), x[x > 1], x.nonzero(), torch.equal(x, x), x.unique(), x.long().bincount()
        x[x > 1] = 0
        bool((x > 1).any())
        x.repeat_interleave(torch.tensor([1, 2, 0]))
        x[[0, 1]], x[torch.tensor([1])], x.sum(), torch.where(x > 1, x, 0)
    assert counted.counts == {
        **dict.fromkeys(("index", "nonzero", "equal", "_unique2", "bincount", "index_put_", "repeat_interleave"), 1),
        "_local_scalar_dense": 2,
    }


@every_loss
def test_no_loss_waits(loss_class, options):
    loss = loss_class(**options)
    if hasattr(loss, "reserve"):
        loss.reserve(10)
    for epoch in range(4):
        logits, target = batch()
        if hasattr(loss, "begin_epoch"):
            loss.begin_epoch(epoch)
        call(loss, logits, target, epoch=epoch)
        with CountWaits() as counted:
            call(loss, logits.requires_grad_(), target, epoch=epoch).backward()
        assert counted.counts == {}
        if hasattr(loss, "end_epoch"):
            loss.end_epoch(epoch)


@every_loss
def test_no_loss_waits_in_a_training(loss_class, options):
    if "matrix" in options:
        options = {"matrix": torch.eye(10).tolist()}
    assert waits(regression(loss=loss_class(**options)), digits(class_weighting="inverse"))[0] == {}


@every_method
def test_no_semi_supervised_method_waits(method_class, options):
    method = ready(method_class(**options), classes=10, samples=2000)
    model = CNNClassifier((1, 28, 28), 10, pseudo_labels=method, optimizer=partial(torch.optim.SGD, lr=0.1))
    found, steps = waits(model, digits(num_labeled=20, batch_size=4, unlabeled_batch_size=6))
    assert found == {name: count * steps for name, count in ON_THE_HOST.get(method_class.__name__, {}).items()}


CALLBACKS = {
    "ExponentialMovingAverage": zoo.ExponentialMovingAverage,
    "NoisyLabelFinder": zoo.NoisyLabelFinder,
    "EpochSeed": zoo.EpochSeed,
    "ExactResume": zoo.ExactResume,
    "GradualUnfreezing": zoo.GradualUnfreezing,
    "RunRecord": zoo.RunRecord,
    "SynchronizedStop": zoo.SynchronizedStop,
    "TrainingCurves": zoo.TrainingCurves,
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_no_callback_waits(name):
    assert (
        waits(CNNClassifier((1, 28, 28), 10, optimizer=partial(torch.optim.SGD, lr=0.1)), digits(), CALLBACKS[name]())[
            0
        ]
        == {}
    )


def test_the_report_of_pseudo_labels_does_not_wait():
    method = ready(FixMatch(), classes=10)
    model = CNNClassifier((1, 28, 28), 10, pseudo_labels=method, optimizer=partial(torch.optim.SGD, lr=0.1))
    data = digits(num_labeled=20, batch_size=4, unlabeled_batch_size=6)
    assert waits(model, data, zoo.PseudoLabelReport())[0] == {}


def test_every_exported_loss_is_looked_at():
    others = {"ClassificationLoss", "DisturbValue"}  # a base class; a loss of numbers, below
    assert {loss.__name__ for loss in FOUND} | others == set(losses.__all__)


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_the_graph_of_a_regression_loss_does_not_break(mode):
    loss = losses.DisturbValue(0.5).train(mode)
    torch._dynamo.reset()
    explained = torch._dynamo.explain(loss)(torch.randn(6), torch.randn(6))
    assert explained.graph_break_count == 0, explained.break_reasons


@every_loss
def test_the_graph_of_a_loss_does_not_break(loss_class, options):
    loss = loss_class(**options)
    if hasattr(loss, "reserve"):
        loss.reserve(10)
    logits, target = batch()
    for epoch in range(4):
        call(loss, logits, target, epoch=epoch)
    torch._dynamo.reset()
    explained = torch._dynamo.explain(partial(call, loss, epoch=3))(logits, target)
    assert explained.graph_break_count == 0, explained.break_reasons
