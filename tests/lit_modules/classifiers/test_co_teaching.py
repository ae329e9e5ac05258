import pytest
import torch
import torch.nn.functional as F
from torch import nn

from litzoo.lit_modules import (
    CoTeachingClassifier,
    EarlyLearningRegularization,
    ForwardCorrection,
    MixUp,
    OneHotSquaredError,
)
from litzoo.lit_modules.co_teaching import smallest_losses
from tests.training import cpu_trainer


class Table(nn.Module):
    """A network whose logits are its weights, one row a sample: a row without gradient was not learned from."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x):
        return self.logits


def module(first=None, second=None, epoch=0, **options):
    model = CoTeachingClassifier(input_shape=(1, 4, 4), num_classes=2, widths=(2,), **options)
    if first is not None:
        model.net.first, model.net.second = Table(first), Table(second)
    model.trainer = cpu_trainer(max_epochs=100)
    model.trainer.fit_loop.epoch_progress.current.completed = epoch
    return model


def batch(size):
    return {
        "input": torch.zeros(size, 1, 4, 4),
        "target": torch.zeros(size, dtype=torch.int64),
        "index": torch.arange(size),
    }


def confident(*amounts):
    """Returns logits for targets of class 0: the larger, the smaller the loss."""
    return torch.tensor([[float(amount), 0.0] for amount in amounts])


def learned_from(model, size):
    """Returns for each network the rows that have a gradient."""
    model.training_loss(batch(size))[1].backward()
    return [
        net.logits.grad.abs().sum(dim=1).nonzero().flatten().tolist() for net in (model.net.first, model.net.second)
    ]


def test_each_network_learns_from_the_smallest_losses_of_the_other():
    model = module(confident(5, 4, -1, -2, 0), confident(-3, 1, 2, 3, -5), epoch=9, forget_rate=0.6)
    first, second = learned_from(model, 5)
    assert first == [2, 3]  # the second network's
    assert second == [0, 1]


def test_the_objective_is_the_sum_of_both_means_over_the_selected_samples():
    logits = torch.randn(2, 6, 2)
    model = module(*logits, epoch=9, forget_rate=0.5)
    mean_logits, loss = model.training_loss(batch(6))
    each = -logits.log_softmax(dim=2)[..., 0]
    picked = each.argsort(dim=1)[:, :3]
    assert loss.item() == pytest.approx((each[0, picked[1]].mean() + each[1, picked[0]].mean()).item())
    torch.testing.assert_close(mean_logits, logits.mean(dim=0))


def test_the_given_loss_is_the_objective_and_cross_entropy_selects():
    logits = torch.randn(2, 6, 2)
    loss = module(*logits, epoch=9, forget_rate=0.5, loss=OneHotSquaredError()).training_loss(batch(6))[1]
    picked = (-logits.log_softmax(dim=2)[..., 0]).argsort(dim=1)[:, :3]
    wrong = logits.softmax(dim=2)[..., 1].square()
    assert loss.item() == pytest.approx((wrong[0, picked[1]].mean() + wrong[1, picked[0]].mean()).item())


def test_the_fraction_left_out_rises_over_the_first_epochs():
    kept = []
    for epoch in range(7):
        model = module(torch.randn(20, 2), torch.randn(20, 2), epoch, forget_rate=0.4, ramp_epochs=4)
        rows = learned_from(model, 20)
        assert len(rows[0]) == len(rows[1])
        kept.append(len(rows[0]))
    assert kept == [20, 18, 16, 14, 12, 12, 12]


def test_the_default_ramp_is_of_five_epochs():
    lengths = [
        len(learned_from(module(*torch.randn(2, 10, 2), epoch, forget_rate=0.5), 10)[0]) for epoch in (0, 2, 4, 5)
    ]
    assert lengths == [10, 8, 6, 5]


@pytest.mark.parametrize("epoch", [0, 9])
def test_with_a_forget_rate_of_0_both_networks_learn_from_all_samples(epoch):
    logits, target = torch.randn(2, 6, 2), torch.zeros(6, dtype=torch.int64)
    loss = module(*logits, epoch, forget_rate=0.0).training_loss(batch(6))[1]
    assert loss.item() == pytest.approx(sum(F.cross_entropy(each, target).item() for each in logits))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_at_least_one_sample_is_used(size):
    rows = learned_from(module(*torch.randn(2, size, 2), epoch=9, forget_rate=0.99), size)
    assert [len(each) for each in rows] == [1, 1]


def test_smallest_losses_are_selected_in_any_precision():
    logits, target = torch.randn(30, 5), torch.randint(5, (30,))
    expected = set(F.cross_entropy(logits, target, reduction="none").argsort()[:7].tolist())
    assert set(smallest_losses(logits, target, 7).tolist()) == expected
    half = logits.to(torch.bfloat16)
    expected = set(F.cross_entropy(half.double(), target, reduction="none").argsort()[:7].tolist())
    assert set(smallest_losses(half, target, 7).tolist()) == expected


def test_the_networks_start_different_and_output_their_mean():
    model, x = module(forget_rate=0.2), torch.randn(5, 1, 4, 4)
    first, second = model.net.first(x), model.net.second(x)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(model(x), (first + second) / 2)


def test_both_networks_are_compiled():
    model = module(forget_rate=0.2, compile=True)
    assert all(net._compiled_call_impl is not None for net in (model.net.first, model.net.second)) or (
        model.net._compiled_call_impl is not None
    )


@pytest.mark.parametrize(
    "option", [{"loss": EarlyLearningRegularization()}, {"loss": ForwardCorrection()}, {"mix": MixUp()}]
)
def test_mix_and_losses_that_remember_samples_are_refused(option):
    with pytest.raises(ValueError, match="takes neither mix nor a loss that remembers samples"):
        module(forget_rate=0.2, **option)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 20, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match=rf"forget_rate: {rate} is outside \[0, 1\)"):
        module(forget_rate=rate)


@pytest.mark.parametrize("epochs", [0, -3])
def test_a_ramp_needs_an_epoch(epochs):
    with pytest.raises(ValueError, match=f"ramp_epochs: {epochs} is below 1"):
        module(forget_rate=0.2, ramp_epochs=epochs)
