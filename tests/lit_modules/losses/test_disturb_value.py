import pytest
import torch
from torch import nn

from litzoo.lit_modules import losses


class Difference(nn.Module):
    """Tells what was added to the targets."""

    def forward(self, prediction, target):
        return target - prediction


def noise(loss, size):
    values = torch.randn(size, dtype=torch.float64)
    return loss(values, values)


@pytest.mark.parametrize("size", [1, 3, 10, 32, 101])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.33, 0.5, 1.0])
def test_exactly_the_stated_fraction_of_the_targets_is_changed(size, rate):
    for _ in range(5):
        assert (noise(losses.DisturbValue(1.0, rate, Difference()), size) != 0).sum() == round(rate * size)


@pytest.mark.parametrize("std", [0.1, 3.0])
def test_noise_has_mean_0_and_the_stated_standard_deviation(std):
    drawn = noise(losses.DisturbValue(std, 1.0, Difference()), 40_000)
    assert drawn.mean().item() == pytest.approx(0, abs=4 * std / 40_000**0.5)
    assert drawn.std().item() == pytest.approx(std, abs=4 * std / 80_000**0.5)
    assert (drawn.abs() > 2 * std).float().mean().item() == pytest.approx(0.0455, abs=0.005)  # a normal distribution's


def test_other_targets_are_changed_at_every_step_and_all_as_often():
    loss = losses.DisturbValue(1.0, 0.25, Difference())
    changed = torch.stack([noise(loss, 8) != 0 for _ in range(4000)])
    assert len(changed.unique(dim=0)) == 28  # all pairs of 8
    fractions = changed.double().mean(dim=0)
    assert (fractions - 0.25).abs().max() < 4 * (0.25 * 0.75 / 4000) ** 0.5


@pytest.mark.parametrize("plain", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.MSELoss(reduction="none")])
def test_nothing_is_changed_in_evaluation_without_noise_or_without_a_fraction(plain):
    prediction, target = torch.randn(2, 50)
    expected = plain(prediction, target)
    assert torch.equal(losses.DisturbValue(1.0, 1.0, plain).eval()(prediction, target), expected)
    assert torch.equal(losses.DisturbValue(0.0, 1.0, plain)(prediction, target), expected)
    assert torch.equal(losses.DisturbValue(1.0, 0.0, plain)(prediction, target), expected)
    assert not torch.equal(losses.DisturbValue(1.0, 0.5, plain)(prediction, target), expected)


def test_left_out_it_is_squared_error():
    loss = losses.DisturbValue(0.0)
    assert loss(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 4.0])).item() == (2**2 + 1**2) / 2


def test_on_average_it_adds_the_variance_of_the_noise():
    # E (x - t - n)² = (x - t)² + std²: for squared error the gradient is the same on average
    prediction, target = torch.zeros(400_000), torch.ones(400_000)
    assert losses.DisturbValue(0.5, 0.4)(prediction, target).item() == pytest.approx(1 + 0.4 * 0.25, abs=0.01)


def test_gradient_is_that_of_the_changed_targets():
    prediction, target = torch.randn(20, requires_grad=True), torch.randn(20)
    torch.manual_seed(3)
    added = losses.DisturbValue(0.5, 0.5, Difference())(target, target)
    torch.manual_seed(3)
    losses.DisturbValue(0.5, 0.5)(prediction, target).backward()
    torch.testing.assert_close(prediction.grad, 2 * (prediction.detach() - target - added) / 20)
    evaluated = losses.DisturbValue().eval()
    assert torch.autograd.gradcheck(
        lambda x: evaluated(x, target.double()), prediction.detach().double().requires_grad_()
    )


def test_the_given_targets_stay_as_they_are():
    target = torch.zeros(20)
    assert losses.DisturbValue(1.0, 1.0)(torch.zeros(20), target) > 0
    assert not target.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision(dtype):
    values = torch.randn(20, dtype=dtype)
    loss = losses.DisturbValue(1.0, 0.5).to(dtype)(values, values)
    assert loss.dtype == dtype
    assert 0 < loss < 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *[({"std": value}, f"DisturbValue.std: {value}") for value in (-0.1, float("nan"), float("inf"))],
        *[({"rate": value}, f"DisturbValue.rate: {value}") for value in (-0.1, 1.1, 20, float("nan"))],
    ],
)
def test_impossible_parameters_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        losses.DisturbValue(**options)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("shapes", [((8, 1), (8,)), ((8,), (8, 1)), ((8,), (1,))])
def test_predictions_and_targets_that_do_not_fit_are_refused(shapes):
    prediction, target = (torch.randn(shape) for shape in shapes)
    with pytest.raises(ValueError, match="target"):
        losses.DisturbValue()(prediction, target)
