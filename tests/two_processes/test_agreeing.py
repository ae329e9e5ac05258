"""Two processes agree within an epoch, rarely and through the CPU; the first one reads and writes checkpoints."""

from itertools import pairwise

import pytest
import torch

from litzoo.callbacks.agreement import MOST_STEPS
from tests.two_processes.agreeing import ASKS_AT, STEPS_AN_EPOCH, agreeing
from tests.two_processes.processes import PROCESSES, in_two_processes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the two processes worked in."""
    folder = tmp_path_factory.mktemp("agreeing")
    in_two_processes(agreeing, folder)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What each process has seen."""
    return [torch.load(folder / f"found_{rank}.pt") for rank in range(PROCESSES)]


def test_they_agree_at_the_same_steps_and_at_most_every_fifty_or_every_second(found):
    first, second = (process["agreed"] for process in found)
    assert first == second
    steps = [step for step, answer in enumerate(first["fast"]) if answer is not None]
    assert steps[0] == 0
    assert max(after - before for before, after in pairwise(steps)) <= MOST_STEPS
    assert len(steps) <= 20
    assert [first["fast"][step] for step in steps] == [step >= 150 for step in steps]
    slow = [answer for answer in first["slow"] if answer is not None]
    assert 2 <= len(slow) <= 5


@pytest.mark.parametrize("how", ["should_stop", "timer", "SIGTERM"])
def test_all_stop_within_an_epoch_at_the_same_step(how, found):
    first, second = (process[how] for process in found)
    assert first["step"] == second["step"]
    if how != "timer":
        assert ASKS_AT < first["step"] <= ASKS_AT + 1 + MOST_STEPS
        assert first["step"] < STEPS_AN_EPOCH
    assert [process[how]["ended"] for process in found] == ["SIGTERM" if how == "SIGTERM" else "returned"] * 2


@pytest.mark.parametrize("how", ["should_stop", "SIGTERM"])
def test_nothing_is_decided_through_the_device_at_every_step(how, found):
    # Two each at the start of the training and of the epoch, at the stop, after the validation and after the epoch.
    assert all(process[how]["decisions"] <= 12 for process in found)


@pytest.mark.parametrize("how", ["should_stop", "timer", "SIGTERM"])
def test_trainer_and_timer_are_as_before(how, found):
    assert all(process[how]["restored"] and process[how]["handler"] for process in found)


def test_checkpoints_that_only_the_first_process_has_are_completed_with_their_own_weights(folder, found):
    sums = {}
    for name in ("best", "last"):
        content = torch.load(folder / "completed" / "checkpoints" / f"{name}.ckpt", weights_only=True)
        sums[name] = float(content["state_dict"]["net.head.weight"].double().abs().sum())
        assert content["callbacks"]["Holds"] == {"sum": sums[name]}
    assert sums["best"] != sums["last"]
    assert [process["completed"] for process in found] == [sums["last"]] * 2
