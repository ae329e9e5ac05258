import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from litzoo.callbacks import fit_temperature, fit_temperature_and_bias
from litzoo.callbacks.calibration.shift import shifted_classes


def sampled(temperature, n=4000, classes=5, seed=0):
    """Returns logits, and targets drawn from softmax(logits / temperature)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(n, classes, generator=generator)
    target = (logits / temperature).softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    return logits, target


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_the_labels_were_drawn_with_is_found(temperature):
    logits, target = sampled(temperature, n=40_000)
    assert fit_temperature(logits, target).temperature == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_it_minimises_the_cross_entropy_on_a_grid_and_agrees_with_lbfgs(temperature):
    logits, target = sampled(temperature)
    found = fit_temperature(logits, target)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    losses = [float(F.cross_entropy(logits.double() / each, target)) for each in grid]
    assert found.temperature == pytest.approx(grid[int(np.argmin(losses))], rel=0.002)
    assert found.after <= min(losses) + 1e-12
    assert found.before == pytest.approx(float(F.cross_entropy(logits.double(), target)))

    # Guo et al.'s own way: L-BFGS over the temperature.
    free = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], lr=0.1, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-15)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits.double() / free, target)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert found.temperature == pytest.approx(float(free.detach()), rel=1e-5)


def test_unknown_samples_are_left_out_and_half_precision_is_converted():
    logits, target = sampled(2.0)
    with_unknown = torch.cat([target, torch.full((100,), -1)])
    more = torch.cat([logits, 50 * torch.randn(100, 5)])
    assert fit_temperature(more, with_unknown) == fit_temperature(logits, target)
    assert fit_temperature(logits.bfloat16(), target).temperature == pytest.approx(2.0, rel=0.1)


def test_scaling_the_logits_scales_the_temperature():
    logits, target = sampled(1.0)
    first, second = fit_temperature(logits, target), fit_temperature(3 * logits.double(), target)
    assert second.temperature == pytest.approx(3 * first.temperature, rel=1e-6)


def test_what_cannot_be_fitted_is_refused_with_the_numbers():
    logits, target = sampled(1.0, n=200)
    with pytest.raises(ValueError, match=r"49 calibration samples; at least 50 are needed"):
        fit_temperature(logits[:49], target[:49])
    right = logits.argmax(dim=1)
    with pytest.raises(ValueError, match=r"below 0\.01, since 200 of 200 calibration samples are classified correctly"):
        fit_temperature(logits, right)
    wrong = logits.argmin(dim=1)
    with pytest.raises(ValueError, match=r"exceeds 100, since 0 of 200 calibration samples are classified correctly"):
        fit_temperature(logits, wrong)
    broken = logits.clone()
    broken[3, 1], broken[3, 2], broken[7, 0] = torch.nan, torch.inf, torch.inf
    with pytest.raises(ValueError, match=r"the logits of 2 of 200 calibration samples are not finite"):
        fit_temperature(broken, target)
    with pytest.raises(ValueError, match=r"logits \[200, 5\] and target \[10\]"):
        fit_temperature(logits, target[:10])


def test_the_reason_is_the_one_that_was_found():
    _, target = sampled(1.0, n=2000)
    with pytest.raises(ValueError, match="the same logit for all classes, so that no temperature"):
        fit_temperature(torch.full((2000, 5), 3.0), target)
    right = 1000 * F.one_hot(target, 5).float()
    one_wrong = target.clone()
    one_wrong[0] = (target[0] + 1) % 5
    with pytest.raises(ValueError, match=r"exceeds 100, since the logits are up to 1e\+03, too large .*1,999 of 2,000"):
        fit_temperature(right, one_wrong)
    with pytest.raises(ValueError, match=r"falls below 0\.01, since the logits are only up to 0\.01, .*1,999 of 2,000"):
        fit_temperature(right / 1e5, one_wrong)
    # Just within the bounds, the same samples have a temperature: the size was the reason.
    assert fit_temperature(right / 100, one_wrong).temperature == pytest.approx(1.11, abs=0.2)


def test_targets_that_are_no_classes_are_refused():
    logits, target = sampled(1.0, n=200)
    with pytest.raises(ValueError, match="fit_temperature: target has the class 5, but the logits are of 5 classes"):
        fit_temperature(logits, target + 1 + (4 - target.max()))
    for broken in (target.float(), target > 2):
        with pytest.raises(ValueError, match=r"fit_temperature: target is of torch\.(float32|bool)"):
            fit_temperature(logits, broken)


def test_the_bias_the_labels_were_drawn_with_is_found():
    generator = torch.Generator().manual_seed(0)
    logits, bias = 4 * torch.randn(40_000, 5, generator=generator), torch.tensor([-0.5, 0.5, -2.5, 0.0, 2.5])
    target = (logits / 2.5 + bias).softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    found = fit_temperature_and_bias(logits, target)
    assert found.temperature == pytest.approx(2.5, rel=0.03)
    assert found.bias.tolist() == pytest.approx(bias.tolist(), abs=0.08)
    assert found.after < fit_temperature(logits, target).after
    assert found.after == pytest.approx(
        float(F.cross_entropy(logits.double() / found.temperature + found.bias, target)), rel=1e-12
    )


def test_of_two_classes_it_is_a_logistic_regression_on_the_difference_of_the_logits():
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(3000, 2, generator=generator)
    target = (logits / 1.5 + torch.tensor([2.0, -1.0])).softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    found = fit_temperature_and_bias(logits, target)
    difference = (logits[:, 1:] - logits[:, :1]).double().numpy()
    reference = LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(difference, target.numpy())
    assert 1 / found.temperature == pytest.approx(reference.coef_.item(), rel=0.01)  # which has no penalty
    assert float(found.bias[1] - found.bias[0]) == pytest.approx(reference.intercept_.item(), rel=0.01)


def test_the_bias_of_weighted_cross_entropy_is_the_logarithm_of_the_weights():
    # With weights w its best logits are those of the probabilities w p / sum(w p).
    generator = torch.Generator().manual_seed(2)
    true, weights = torch.randn(60_000, 3, generator=generator), torch.tensor([1.0, 1.0, 20.0])
    target = true.softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    found = fit_temperature_and_bias(true + weights.log(), target)
    expected = -weights.log() + weights.log().mean()
    assert found.temperature == pytest.approx(1, rel=0.03)
    assert found.bias.tolist() == pytest.approx(expected.tolist(), abs=0.05)


def test_a_class_without_samples_has_a_finite_bias():
    logits, target = sampled(1.0, n=300)
    found = fit_temperature_and_bias(logits[target != 4], target[target != 4])
    assert -5 < float(found.bias[4]) < -1
    expected = (logits[target != 4].double() / found.temperature + found.bias).softmax(dim=1).sum(dim=0)
    # The condition of the optimum: expected and true numbers differ by the penalty times the bias.
    counts = torch.bincount(target[target != 4], minlength=5)
    assert (counts - expected).tolist() == pytest.approx(found.bias.tolist(), abs=1e-3)
    assert float(found.bias.mean()) == pytest.approx(0, abs=1e-6)


def test_what_a_temperature_cannot_be_fitted_to_has_no_bias_either():
    logits, _ = sampled(1.0, n=200)
    with pytest.raises(ValueError, match=r"200 of 200 calibration samples are classified correctly"):
        fit_temperature_and_bias(logits, logits.argmax(dim=1))


def test_classes_whose_mean_probability_is_wrong_are_named_with_the_numbers():
    target = torch.tensor([0] * 980 + [1] * 20)
    right = torch.full((1000, 2), 0.02)
    right[:, 0] = 0.98
    assert shifted_classes(right, target, ["fine", "fraud"]) is None
    wrong = torch.full((1000, 2), 0.1)
    wrong[:, 0] = 0.9
    text = shifted_classes(wrong, target, ["fine", "fraud"])
    assert text == "class fraud has 10 % on average, but 2 % of 1,000 calibration samples are of it"
    # Three instead of two standard errors in few samples: chance.
    assert shifted_classes(wrong[940:], target[940:]) is not None
    assert shifted_classes(wrong[:20], target[:20]) is None
    many = torch.eye(6).repeat(100, 1)
    assert "and 2 other classes" in shifted_classes(many, torch.arange(600) % 6 // 5 * 5)


def test_classes_of_well_calibrated_samples_are_not_named():
    for seed in range(50):
        logits, target = sampled(1.0, n=300, classes=10, seed=seed)
        assert shifted_classes(logits.softmax(dim=1), target) is None


@pytest.mark.parametrize("shift", [4.0, 6.0, -6.0])
def test_a_shift_after_which_all_samples_have_one_class_is_repaired(shift):
    # Exact logits of two normal distributions, of which the second has 5 % of the samples.
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(4000, generator=generator) < 0.05).long()
    x = torch.randn(4000, generator=generator) + 2 * target
    exact = torch.stack([torch.zeros(4000), 2 * x - 2 + np.log(0.05 / 0.95)], dim=1)
    found = fit_temperature_and_bias(exact + torch.tensor([0.0, shift]), target)
    assert found.after == pytest.approx(float(F.cross_entropy(exact, target)), abs=0.002)
    assert float(found.bias[1] - found.bias[0]) == pytest.approx(-shift, rel=0.15)


def test_the_optimum_of_many_classes_is_found_in_any_scale():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(3000, 80, generator=generator)
    target = (logits / 1.5).softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    found = fit_temperature_and_bias(logits, target)
    moved = fit_temperature_and_bias(20 * logits.double() + torch.randn(3000, 1, generator=generator), target)
    assert moved.temperature == pytest.approx(20 * found.temperature, rel=1e-4)
    torch.testing.assert_close(moved.bias, found.bias, atol=1e-3, rtol=0)
    probabilities = (logits.double() / found.temperature + found.bias).softmax(dim=1)
    counts = torch.bincount(target, minlength=80)
    torch.testing.assert_close(counts - probabilities.sum(dim=0), found.bias, atol=0.02, rtol=0)


@pytest.mark.parametrize(("samples", "classes"), [(500, 100), (144, 10), (300, 2)])
def test_false_alarms_are_as_rare_as_said(samples, classes):
    alarms = 0
    for seed in range(200):
        logits, target = sampled(1.0, n=samples, classes=classes, seed=seed)
        alarms += shifted_classes(logits.softmax(dim=1), target) is not None
    assert alarms <= 6  # 1 % of 200; more than 6 are improbable
