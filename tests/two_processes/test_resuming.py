import pytest
import torch

from tests.callbacks.open_set_digits import alike
from tests.two_processes.processes import PROCESSES, in_two_processes
from tests.two_processes.resuming import resumed_within_epoch

pytestmark = pytest.mark.slow


def test_two_processes_resume_within_an_epoch_to_the_same_bits(tmp_path):
    in_two_processes(resumed_within_epoch, tmp_path)
    for rank in range(PROCESSES):
        found = torch.load(tmp_path / f"found_{rank}.pt")
        assert alike(found["resumed"], found["unbroken"])
