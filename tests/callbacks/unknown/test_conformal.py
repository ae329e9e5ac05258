from math import ceil

import pytest
import torch

from litzoo.callbacks.unknown.calibration import acceptance_threshold, exact_ceil


@pytest.mark.parametrize(
    ("count", "acceptance", "rank"),
    [(19, 0.95, 19), (20, 0.95, 20), (39, 0.95, 38), (99, 0.95, 95), (1, 0.5, 1), (9, 0.9, 9), (99, 0.07, 7)],
)
def test_threshold_is_the_score_of_this_rank(count, acceptance, rank):
    scores = torch.randperm(count) + 1.0
    assert acceptance_threshold(scores, acceptance) == rank


@pytest.mark.parametrize(("acceptance", "needed"), [(0.95, 19), (0.99, 99), (0.5, 1), (0.3, 1), (0.999, 999)])
def test_too_few_scores_raise_with_the_number_needed(acceptance, needed):
    assert acceptance_threshold(torch.rand(needed), acceptance) >= 0
    with pytest.raises(ValueError, match=rf"{acceptance} cannot be guaranteed with {needed - 1} .* it needs {needed}:"):
        acceptance_threshold(torch.rand(needed - 1), acceptance)


@pytest.mark.parametrize("acceptance", [0, 1, -0.1, 1.5, 95, float("nan")])
def test_an_acceptance_outside_0_to_1_raises(acceptance):
    with pytest.raises(ValueError, match=rf"acceptance: {acceptance} is outside \(0, 1\)"):
        acceptance_threshold(torch.rand(100), acceptance)


@pytest.mark.parametrize("scores", [torch.rand(30, 1), torch.tensor(1.0), torch.tensor([0.5] * 30 + [float("nan")])])
def test_invalid_scores_raise(scores):
    with pytest.raises(ValueError, match=r"known_scores: shape .* NaN; give one number per calibration sample"):
        acceptance_threshold(scores, 0.9)


def test_equal_and_infinite_scores():
    assert acceptance_threshold(torch.tensor([1.0] * 15 + [2.0] * 5), 0.7) == 1
    assert acceptance_threshold(torch.tensor([1.0] * 15 + [2.0] * 5), 0.8) == 2
    assert acceptance_threshold(torch.tensor([-float("inf")] * 10), 0.8) == -float("inf")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_threshold_accepts_its_fraction_in_any_precision(dtype):
    scores = torch.randn(1000, dtype=torch.float64).to(dtype)
    threshold = acceptance_threshold(scores, 0.9)
    assert int((scores <= threshold).sum()) >= 901
    assert int((scores < threshold).sum()) <= 900


def test_a_fraction_is_taken_in_its_decimal_notation():
    assert ceil(0.07 * 100) == 8  # in floating point
    assert exact_ceil(0.07, 100) == 7
    assert [exact_ceil(0.95, count) for count in (20, 100, 101)] == [19, 95, 96]


@pytest.mark.parametrize(("count", "acceptance"), [(19, 0.95), (50, 0.9), (200, 0.95), (333, 0.5)])
def test_distribution_of_the_accepted_fraction(count, acceptance):
    # For scores uniform in [0, 1], the accepted fraction equals the threshold. The rank-th smallest of n scores has
    # the distribution Beta(rank, n + 1 - rank).
    draws, rank = 4000, ceil(acceptance * (count + 1) - 1e-9)
    coverage = torch.tensor([acceptance_threshold(torch.rand(count), acceptance) for _ in range(draws)])
    mean = rank / (count + 1)
    deviation = (mean * (1 - mean) / (count + 2)) ** 0.5
    assert acceptance <= mean + 1e-9 < acceptance + 1 / (count + 1) + 2e-9
    assert coverage.mean().item() == pytest.approx(mean, abs=4 * deviation / draws**0.5)
    assert coverage.std().item() == pytest.approx(deviation, rel=0.1)


def test_accepted_fraction_of_new_samples_with_ties():
    accepted = 0.0
    for _ in range(2000):
        scores = torch.randint(10, (61,))
        accepted += float(scores[60] <= acceptance_threshold(scores[:60].float(), 0.8)) / 2000
    assert accepted > 0.8 - 4 * (0.8 * 0.2 / 2000) ** 0.5
