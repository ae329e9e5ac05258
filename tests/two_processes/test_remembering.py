import pytest
import torch

from tests.two_processes.remembering import CLASSES, SAMPLES, remember

pytestmark = pytest.mark.slow


SHAPES = {"past beliefs": (SAMPLES, CLASSES), "noise": (SAMPLES, 1 + CLASSES), "matrix": (CLASSES, CLASSES)}


@pytest.mark.parametrize("name", SHAPES)
def test_losses_of_two_processes_remember_what_that_of_one_does(name, found):
    alone = remember()[name]
    assert alone.shape == SHAPES[name]
    for process in found:
        torch.testing.assert_close(process["remembered"][name], alone)
