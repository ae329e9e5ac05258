import pytest
import torch

from tests.two_processes.whitening import whiten

pytestmark = pytest.mark.slow


def test_both_processes_have_the_filters_of_one_and_end_with_the_same_weights(found):
    first, second = (process["whitened"] for process in found)
    alone = whiten()
    assert torch.equal(first["end"]["whitening.weight"], alone["end"]["whitening.weight"])
    for name, value in first["end"].items():
        if "running" not in name:  # batch norm: of this process's samples until the next step
            assert torch.equal(value, second["end"][name]), name
    assert first["tested"] == second["tested"]
    for run in (first, second, alone):
        biases = [*(weights["whitening.bias"] for weights in run["weights"]), run["end"]["whitening.bias"]]
        assert [not torch.equal(biases[epoch], biases[epoch + 1]) for epoch in range(3)] == [True, False, False]
