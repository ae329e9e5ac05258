import pytest
import torch

from tests.callbacks.open_set_digits import alike
from tests.two_processes.processes import PROCESSES, in_two_processes
from tests.two_processes.resuming import MOMENTS, STEPS_AN_EPOCH, resumed_within_epoch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each process has of its trainings."""
    folder = tmp_path_factory.mktemp("resuming")
    in_two_processes(resumed_within_epoch, folder)
    return [torch.load(folder / f"found_{rank}.pt") for rank in range(PROCESSES)]


def test_two_processes_resume_within_an_epoch_to_the_same_bits(found):
    for process in found:
        assert alike(process["resumed"], process["unbroken"])


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_saves_what_two_processes_resume_to_the_same_bits(moment, found):
    after = [process[moment].pop("after") for process in found]
    asked = min(batch for _, batch in MOMENTS[moment].values()) + 1
    assert after[0] == after[1] == (2 if "validation" in moment else asked)
    assert after[0] < STEPS_AN_EPOCH or "last" in moment or "end" in moment
    for process in found:
        assert alike(process[moment], process["unbroken"])
