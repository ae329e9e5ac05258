import numpy as np
import pytest
import torch

from litzoo.lit_modules import CosineWithWarmup


def rates(steps, **options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = CosineWithWarmup(optimizer, **options)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_rates_follow_the_formula():
    rise = 0.5 * np.arange(1, 6) / 6
    fall = 0.5 * (1 + np.cos(np.pi * np.arange(15) / 15)) / 2
    assert rates(20, total_steps=20, warmup=0.25) == pytest.approx([*rise, *fall])


def test_without_warmup_it_starts_at_the_full_rate():
    assert rates(10, total_steps=10, warmup=0) == pytest.approx(0.25 * (1 + np.cos(np.pi * np.arange(10) / 10)))


def test_the_rate_stays_at_0_after_the_end():
    assert rates(15, total_steps=10)[10:] == pytest.approx([0] * 5)


@pytest.mark.parametrize("total_steps", [1, 2])
def test_very_short_trainings_have_rates_above_0(total_steps):
    assert all(rate > 0 for rate in rates(total_steps, total_steps=total_steps, warmup=0.6))


@pytest.mark.parametrize("warmup", [-0.1, 1, 1.5])
def test_a_warmup_that_is_no_fraction_is_refused(warmup):
    with pytest.raises(ValueError, match=rf"warmup: {warmup} is not in \[0, 1\)"):
        rates(1, total_steps=10, warmup=warmup)


def test_the_number_of_steps_is_needed():
    with pytest.raises(ValueError, match="total_steps"):
        rates(1)
