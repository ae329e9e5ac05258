import numpy as np
import pytest
import torch
import torch.nn.functional as F

from litzoo.callbacks import fit_temperature


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
