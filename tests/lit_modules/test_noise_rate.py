import pytest
import torch

from litzoo.lit_modules.co_teaching import CoTeaching
from litzoo.lit_modules.label_judgement import judge_labels
from litzoo.lit_modules.noise_rate import EstimatedNoiseRate

N, K = 400, 4


def noisy(rate, seed=0):
    """Returns confident predictions of the true class, and labels of which exactly a fraction is wrong."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.arange(N) % K
    given = true.clone()
    wrong = torch.randperm(N, generator=generator)[: round(rate * N)]
    given[wrong] = (true[wrong] + 1 + torch.randint(K - 1, (len(wrong),), generator=generator)) % K
    return torch.eye(K)[true] * 0.9 + 0.1 / K, given


def see(estimate, probabilities, given, epochs, batch=64):
    for epoch in range(epochs):
        estimate.begin_epoch(epoch)
        order = torch.randperm(N, generator=torch.Generator().manual_seed(epoch))
        for index in order.split(batch):
            estimate.add(probabilities[index], given[index], index, epoch)
        estimate.end_epoch(epoch)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.5])
def test_the_rate_of_wrong_labels_is_found(rate):
    estimate = EstimatedNoiseRate(3)
    see(estimate, *noisy(rate), epochs=3)
    assert estimate.rate == pytest.approx(rate, abs=1e-9)


def test_the_first_epoch_does_not_count_and_later_ones_are_averaged():
    probabilities, given = noisy(0.2)
    estimate, later = EstimatedNoiseRate(3), torch.rand(2, N, K).softmax(dim=2)
    for epoch, seen in enumerate([probabilities.flip(0), *later]):
        estimate.begin_epoch(epoch)
        estimate.add(seen, given, torch.arange(N), epoch)
        estimate.end_epoch(epoch)
        if epoch == 0:
            assert estimate.rate == 0
    expected = (judge_labels(later.mean(dim=0), given).wrong > 0.5).double().mean()
    assert estimate.rate == pytest.approx(expected.item())


def test_after_the_last_epoch_the_estimate_stays_and_needs_no_memory():
    estimate = EstimatedNoiseRate(2)
    see(estimate, *noisy(0.2), epochs=2)
    assert set(estimate.get_extra_state()) == {"rate"}
    see(estimate, *noisy(0.5), epochs=1)  # the first epoch of another training
    assert estimate.rate == 0
    estimate.add(*noisy(0.5), torch.arange(N), epoch=2)
    estimate.end_epoch(2)
    assert estimate.rate == 0


def test_a_checkpoint_within_an_epoch_continues_to_the_same_estimate():
    probabilities, given = noisy(0.2)
    whole, halves = EstimatedNoiseRate(3), EstimatedNoiseRate(3)
    see(whole, probabilities, given, epochs=2)
    see(halves, probabilities, given, epochs=2)
    for estimate in (whole, halves):
        estimate.add(probabilities[:100], given[:100], torch.arange(100), 2)
    resumed = EstimatedNoiseRate(3)
    resumed.load_state_dict(halves.state_dict())
    for estimate in (whole, resumed):
        estimate.add(probabilities[100:], given[100:], torch.arange(100, N), 2)
        estimate.end_epoch(2)
    assert resumed.rate == whole.rate == pytest.approx(0.2)


def test_the_fraction_left_out_follows_the_estimate():
    selection = CoTeaching("auto", ramp_epochs=4)
    probabilities, given = noisy(0.4)
    logits, forgotten = probabilities.log(), []
    for epoch in range(6):
        selection.begin_epoch(epoch)
        batch = {"target": given, "index": torch.arange(N)}
        kept = selection.loss((logits, logits), batch, epoch, lambda *_: torch.tensor(len(_[2]))) / 2
        forgotten.append(1 - kept.item() / N)
        selection.end_epoch(epoch)
    assert forgotten == pytest.approx([0, 0, 0.2, 0.3, 0.4, 0.4])


@pytest.mark.parametrize("rate", ["Auto", "0.2"])
def test_other_words_than_auto_are_refused(rate):
    with pytest.raises(ValueError, match=rf"forget_rate: {rate} is outside \[0, 1\).* or auto to estimate it"):
        CoTeaching(rate)


def test_an_estimate_needs_two_epochs():
    with pytest.raises(ValueError, match="ramp_epochs: 1 is below 2; forget_rate auto estimates the rate from the sec"):
        CoTeaching("auto", ramp_epochs=1)
