import pytest
import torch

from tests.two_processes.remembering import CLASSES, SAMPLES, remember

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["past beliefs", "matrix"])
def test_losses_of_two_processes_remember_what_that_of_one_does(name, found):
    alone = remember()[name]
    assert alone.shape == (SAMPLES if name == "past beliefs" else CLASSES, CLASSES)
    for process in found:
        torch.testing.assert_close(process["remembered"][name], alone)
