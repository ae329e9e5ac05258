import pytest

from tests.two_processes.stopping import HOOKS, WITHIN_EPOCH

pytestmark = pytest.mark.slow
STEPS_AN_EPOCH = 3


@pytest.mark.parametrize(("hook", "epochs"), HOOKS.items())
def test_both_stop_when_one_of_them_asks_to(hook, epochs, found):
    steps = [process["stopped", hook] for process in found]
    assert steps[0] == steps[1]
    least = (epochs - 1) * STEPS_AN_EPOCH + 1 if hook in WITHIN_EPOCH else epochs * STEPS_AN_EPOCH
    assert least <= steps[0] <= epochs * STEPS_AN_EPOCH


def test_a_bad_loss_of_one_is_noticed_by_both_at_the_same_step(found):
    first, second = (process["spoiled"] for process in found)
    assert first == second
    assert "not finite at step 2" in first
