"""What a test says of the fraction of known samples that a threshold accepts, against simulated calibrations."""

import torch

from litzoo.callbacks.unknown.calibration import acceptance_remark, acceptance_threshold

TEXT = (
    "The threshold accepts known samples with a probability of at least 0.9 on average over calibrations; with 40 "
    "calibration samples, {low:.3f} to {high:.3f} in 9 of 10. Of {tested:,} known test samples it accepts 0.900"
)


def test_the_range_and_the_alarm_are_those_of_a_simulation():
    """Scores of known samples are uniform: a threshold accepts its own value of them."""
    generator = torch.Generator().manual_seed(0)
    thresholds = [acceptance_threshold(torch.rand(40, generator=generator), 0.9) for _ in range(4000)]
    low, high = torch.tensor(thresholds).quantile(torch.tensor([0.05, 0.95])).tolist()
    remark = acceptance_remark(40, 0.9, 1800, 2000)
    assert remark.startswith(TEXT.format(low=low, high=high, tested=2000)[:90])
    said = [float(word) for word in remark.split("samples, ")[1].split(" in 9")[0].split(" to ")]
    torch.testing.assert_close(torch.tensor(said), torch.tensor([low, high]), atol=0.01, rtol=0)
    accepted = [int((torch.rand(100, generator=generator) <= each).sum()) for each in thresholds]
    alarms = ["fewer than chance explains" in acceptance_remark(40, 0.9, each, 100) for each in accepted]
    assert sum(alarms) <= 0.005 * 4000 + 3 * (0.005 * 4000) ** 0.5


def test_few_accepted_samples_are_called_so():
    assert acceptance_remark(40, 0.9, 60, 100).endswith(
        "it accepts 0.600, fewer than chance explains: they differ from the validation samples, or the model was "
        "fitted to these. Expect known samples to be called unknown more often than asked."
    )
    assert acceptance_remark(40, 0.9, 100, 100).endswith("it accepts 1.000.")  # equal scores are all accepted
