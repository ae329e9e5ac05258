import pytest
import torch

from tests.two_processes.unfreezing import CACHED, HOW, STAGE_BY_STAGE, unfreeze

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", HOW)
def test_both_processes_learn_the_same_before_and_after_each_unfreezing_that_of_one(how, found):
    first, second = (process["unfrozen", how] for process in found)
    alone = unfreeze(how)
    assert len(first["weights"]) == len(alone["weights"]) == 4
    for ours, theirs, by_one in zip(first["weights"], second["weights"], alone["weights"], strict=True):
        for name, weight in ours.items():
            assert torch.equal(weight, theirs[name]), name
            torch.testing.assert_close(weight, by_one[name], rtol=1e-4, atol=1e-5, msg=name)
    assert first["tested"] == second["tested"] == pytest.approx(alone["tested"], rel=1e-4, abs=1e-5)

    def learned(name):
        return [not torch.equal(*(alone["weights"][at][name] for at in (epoch, epoch + 1))) for epoch in range(3)]

    assert learned("head.weight") == [True] * 3
    if how == STAGE_BY_STAGE:
        assert learned("trunk.7.weight") == [False, True, True]  # the hidden layer
        assert learned("trunk.0.weight") == [False, False, True]
    else:
        assert how == CACHED
        assert not any(any(learned(name)) for name in alone["weights"][0] if not name.startswith("head."))
