import pytest
import torch

from tests.two_processes.believing import CLASSES, believe

pytestmark = pytest.mark.slow


OF_CLASSES = ("fraction", "probability", "labels")


@pytest.mark.parametrize("name", [*OF_CLASSES, "confidence", "soft confidence", "soft variance"])
def test_two_processes_keep_the_running_means_of_one(name, found):
    alone = believe()[name]
    assert alone.shape == ((CLASSES,) if name in OF_CLASSES else ())
    assert (alone - 1 / CLASSES).abs().max() > 0.01
    for process in found:
        torch.testing.assert_close(process["believed"][name], alone)
    first, second = (process["believed"][name] for process in found)
    assert torch.equal(first, second)
