import pytest

from tests.two_processes.stopping import HOOKS

pytestmark = pytest.mark.slow
STEPS_AN_EPOCH = 3


@pytest.mark.parametrize(("hook", "epochs"), HOOKS.items())
def test_both_stop_when_one_of_them_asks_to(hook, epochs, found):
    assert [process["stopped", hook] for process in found] == [epochs * STEPS_AN_EPOCH] * 2


def test_a_bad_loss_of_one_is_noticed_by_both_at_the_same_step(found):
    first, second = (process["spoiled"] for process in found)
    assert first == second
    assert "not finite at step 2" in first
